"""Methods that every node has: train, eval, set_attributes, sow, perturb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .._graph._graphdef import Path
from .._graph._walk import iter_children, iter_modules
from .._objects._module import Module
from .._objects._nodes import Node
from .._objects.variables._kinds import Perturbation
from .._objects.variables._names import variable_type_from_name
from .._objects.variables._variable import Variable
from .._state._attributes import set_attributes
from ..errors import ArgumentValueError
from ._text import node_text

_MISSING: Any = object()


def append(old: tuple, value: Any) -> tuple:
    return (*old, value)


def train(self: Any, **attributes: Any) -> None:
    """Sets training mode on all submodules: dropout on, batch statistics on.

    Args:
        **attributes: further attributes to set where they exist.
    """
    modes = {"deterministic": False, "use_running_average": False}
    set_attributes(self, raise_if_not_found=False, **{**modes, **attributes})


def evaluate(self: Any, **attributes: Any) -> None:
    """Sets evaluation mode on all submodules: dropout off, running statistics on.

    Args:
        **attributes: further attributes to set where they exist.
    """
    modes = {"deterministic": True, "use_running_average": True}
    set_attributes(self, raise_if_not_found=False, **{**modes, **attributes})


CAPTURED = "__captures__"
"""The attribute in which `nnx.capture` collects what a module records: a tuple of
Variables, one for each type, with a dict of the records by name."""


def _collected(
    module: Any, variable_type: type[Variable] | str, capture_noop: bool | None
) -> tuple[type[Variable], bool, Variable | None]:
    """The type of a record, whether it is kept, and where `nnx.capture` collects it."""
    kind = variable_type
    if isinstance(kind, str):
        kind = variable_type_from_name(kind, allow_register=True)
    captured = getattr(module, CAPTURED, None)
    if captured is None:
        return kind, not capture_noop, None
    found = next((records for records in captured if type(records) is kind), None)
    return kind, found is not None, found


def record(records: Any, name: str, value: Any, reduce_fn: Any, init_fn: Any) -> None:
    """Adds a value to what `nnx.capture` has collected under a name."""
    held = records.get_value()
    old = held[name] if name in held else init_fn()
    records.set_value({**held, name: reduce_fn(old, value)})


def _occupied(verb: str, module: Any, name: str, kind: type) -> ArgumentValueError:
    """The error for a record whose attribute is something else."""
    return ArgumentValueError(
        f"{verb}: attribute {name!r} of {type(module).__name__} is a "
        f"{type(getattr(module, name)).__name__}, expected {kind.__name__}",
        remedy=f"{verb} under a name that nothing else has.",
    )


def sow(
    self: Any,
    variable_type: type[Variable] | str,
    name: str,
    value: Any,
    reduce_fn: Callable[[Any, Any], Any] = append,
    init_fn: Callable[[], Any] = tuple,
    capture_noop: bool | None = None,
) -> bool:
    """Records a value in a Variable of the module, for `nnx.pop` to collect.

    In a `nnx.capture` of the module, which has its results, what it does not ask for
    is not recorded.

    Args:
        variable_type: the type of the Variable, such as `nnx.Intermediate`, or a name.
        name: the attribute that holds it.
        value: the value to record.
        reduce_fn: makes the new record of the old one and the value.
        init_fn: makes the first record.
        capture_noop: whether to record in `nnx.capture` alone.

    Returns:
        Whether it was recorded.

    Raises:
        ArgumentValueError: the attribute is something else.
    """
    kind, is_kept, records = _collected(self, variable_type, capture_noop)
    if not is_kept:
        return False
    if records is not None:
        record(records, name, value, reduce_fn, init_fn)
        return True
    known = getattr(self, name, _MISSING)
    if known is _MISSING:
        setattr(self, name, kind(reduce_fn(init_fn(), value)))
    elif isinstance(known, Variable) and type(known) is kind:
        known.set_raw_value(reduce_fn(known.get_raw_value(), value))
    else:
        raise _occupied("sow", self, name, kind)
    return True


def perturb(
    self: Any,
    name: str,
    value: Any,
    variable_type: type[Variable] | str = Perturbation,
    capture_noop: bool | None = None,
) -> Any:
    """Adds a zero to a value, in a Variable by which the gradient there is taken.

    In a `nnx.capture` of the module that does not ask for it, the value stays as it is.

    Args:
        name: the attribute that holds the zero.
        value: the value, `(...)`, or a pytree of arrays.
        variable_type: the type of the Variable, or its name.
        capture_noop: whether to do so in `nnx.capture` alone.

    Returns:
        The value plus the Variable's, of the value's shape.

    Raises:
        ArgumentValueError: the attribute is something else.
    """
    kind, is_kept, records = _collected(self, variable_type, capture_noop)
    if not is_kept:
        return value
    if records is not None:
        if name not in records.get_value():
            zeros = jax.tree.map(jnp.zeros_like, value)
            record(records, name, zeros, lambda _, new: new, tuple)
        return jax.tree.map(jnp.add, records.get_value()[name], value)
    if not hasattr(self, name):
        setattr(self, name, kind(jax.tree.map(jnp.zeros_like, value)))
    known = getattr(self, name)
    if not isinstance(known, kind):
        raise _occupied("perturb", self, name, kind)
    return jax.tree.map(jnp.add, known.get_value(), value)


def _iter_children(self: Any) -> Iterator[tuple[Any, Any]]:
    """The Variables and nodes directly below: name and child."""
    return iter_children(self)


def _iter_modules(self: Any) -> Iterator[tuple[Path, Module]]:
    """All modules of the graph, with path."""
    return iter_modules(self)


for _name, _method in {
    "__repr__": node_text,
    "train": train,
    "eval": evaluate,
    "set_attributes": set_attributes,
    "sow": sow,
    "perturb": perturb,
    "iter_children": _iter_children,
    "iter_modules": _iter_modules,
}.items():
    setattr(Node, _name, _method)
