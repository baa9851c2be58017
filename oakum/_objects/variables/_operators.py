"""The operators and conversions of a Variable, which are those of its array."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import jax

from ..._guard import abstract_error

_ARITHMETIC = (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"),
    *("lshift", "rshift", "and", "or", "xor"),
)
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_UNARY = ("neg", "pos", "abs", "invert")
_ROUNDING = ("floor", "ceil")
_CONVERSIONS = (iter, len, bool, int, float, complex, operator.index)


def value_of(variable: Any) -> Any:
    """The value of a Variable, to compute with.

    Raises:
        ArgumentError: it is abstract; names the Variable.
    """
    value = variable.get_value()
    if type(value) is jax.ShapeDtypeStruct:
        raise abstract_error(variable)
    return value


def _value(operand: Any) -> Any:
    return value_of(operand) if hasattr(operand, "get_value") else operand


def _binary(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: op(value_of(self), _value(other))


def _swapped(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: op(_value(other), value_of(self))


def _unary(op: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda self: op(value_of(self))


def _round(self: Any, digits: int | None = None) -> Any:
    value = self.get_value()
    return round(value) if digits is None else round(value, digits)


def _contains(self: Any, item: Any) -> bool:
    return item in self.get_value()


def _format(self: Any, spec: str) -> str:
    return format(self.get_value(), spec) if spec else repr(self)


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self.get_value()(*args, **kwargs)


def _array_namespace(self: Any, *, api_version: Any = None) -> Any:
    return self.get_value().__array_namespace__(api_version=api_version)


def _dlpack(self: Any, **options: Any) -> Any:
    return self.get_value().__dlpack__(**options)


def _dlpack_device(self: Any) -> Any:
    return self.get_value().__dlpack_device__()


def _refuse_in_place(self: Any, other: Any) -> Any:
    raise NotImplementedError(
        f"`variable += x` would replace the {type(self).__name__} by an array.\n"
        "Instead: variable[...] += x"
    )


def _operators() -> dict[str, Any]:
    """Method by name, for `Variable`."""
    made: dict[str, Any] = {}
    for name in _ARITHMETIC:
        op = getattr(operator, f"__{name}__")
        made[f"__{name}__"] = _binary(op)
        made[f"__r{name}__"] = _swapped(op)
        made[f"__i{name}__"] = _refuse_in_place
    made["__divmod__"], made["__rdivmod__"] = _binary(divmod), _swapped(divmod)
    for name in _COMPARISONS:
        made[f"__{name}__"] = _binary(getattr(operator, name))
    for name in _UNARY:
        made[f"__{name}__"] = _unary(getattr(operator, name))
    for name in _ROUNDING:
        made[f"__{name}__"] = _unary(getattr(math, name))
    for convert in _CONVERSIONS:
        made[f"__{convert.__name__}__"] = _unary(convert)
    made["__round__"] = _round
    made["__contains__"], made["__format__"] = _contains, _format
    made["__call__"] = _call
    made["__array_namespace__"] = _array_namespace
    made["__dlpack__"], made["__dlpack_device__"] = _dlpack, _dlpack_device
    made["__hash__"] = None  # `==` compares arrays, elementwise
    return made


OPERATORS = _operators()
