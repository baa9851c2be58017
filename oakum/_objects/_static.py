"""Static values: what is part of the structure, compared by value.

Functions and closures are compared by their code and by what they close over, so that a
fresh `optax.adam(1e-3)` equals the last one and a compiled step is found again.
Anything that can neither be hashed nor taken apart is an error that names it.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np

from ..errors import StaticValueError
from ._pickle import pack

_ATOMS = (int, str, float, bool, type(None), type, bytes, complex, type(...))
_ATOM_SET = frozenset(_ATOMS)


class Static:
    """A static value with the key that it is compared by."""

    __slots__ = ("_hash", "key", "value")

    def __init__(self, value: Any, key: Hashable = None):
        self.value = value
        self.key = static_key(value) if key is None else key
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Static) and self.key == other.key)

    def __repr__(self) -> str:
        return f"Static({self.value!r})"

    def __reduce__(self):
        return Static, (pack(self.value),)

    def __deepcopy__(self, memo: dict) -> Static:
        return self


class _Identity:
    """Compares by identity, and keeps the object alive so that its id stays its own."""

    __slots__ = ("obj",)

    def __init__(self, obj: Any):
        self.obj = obj

    def __hash__(self) -> int:
        return id(self.obj)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.obj is other.obj


def static_key(value: Any) -> Hashable:
    """A hashable key such that equal keys mean the same behaviour.

    Raises:
        StaticValueError: the value can neither be hashed nor taken apart.
    """
    kind = type(value)
    if kind in _ATOM_SET:
        # The sign of zero and the type tell apart what `==` takes for equal.
        return (kind, repr(value)) if kind is float else (kind, value)
    return _compound_key(value, ())


def _compound_key(value: Any, above: tuple[int, ...]) -> Hashable:
    kind = type(value)
    if kind in _ATOM_SET:
        return (kind, repr(value)) if kind is float else (kind, value)
    if id(value) in above:
        return ("recursion", above.index(id(value)))
    above = (*above, id(value))
    if isinstance(value, tuple | list):
        return (kind, tuple([_compound_key(item, above) for item in value]))
    if kind is dict:
        return (
            kind,
            tuple(
                (_compound_key(k, above), _compound_key(v, above))
                for k, v in value.items()
            ),
        )
    if kind is types.FunctionType:
        return _function_key(value, above)
    if kind is functools.partial:
        parts = (value.func, value.args, value.keywords)
        return (kind, tuple([_compound_key(part, above) for part in parts]))
    if kind is types.MethodType:
        return (kind, _compound_key(value.__func__, above), _Identity(value.__self__))
    if kind is np.ndarray:
        return (kind, value.shape, value.dtype.str, value.tobytes())
    try:
        hash(value)
    except TypeError:
        if len(above) > 1:  # inside a closure: nobody named it static
            return _Identity(value)
        raise StaticValueError(
            f"A static value of type {kind.__name__} cannot be hashed: {value!r:.80}",
            remedy="make it hashable (a tuple, a frozenset, a frozen dataclass), or "
            "mark it as data with nnx.data(...) if it holds arrays.",
        ) from None
    return (kind, value)


def _function_key(function: types.FunctionType, above: tuple[int, ...]) -> Hashable:
    if function.__closure__ is None and "<" not in function.__qualname__:
        return function
    maker = vars(function).get("jit")
    if maker is not None and getattr(maker, "call", None) is function:
        # What `nnx.jit` returns closes over its plans, which each call may add to.
        return (type(maker), _compound_key(maker.static_parts, above))
    cells = []
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # not yet filled
            content = None
        if isinstance(content, jax.Array):
            cells.append(_Identity(content))
        elif type(content) in (int, float) and name in _rebound(code):
            cells.append(("number", content))
        else:
            cells.append(_compound_key(content, above))
    defaults = (function.__defaults__, function.__kwdefaults__)
    return (
        code,
        _Identity(function.__globals__),
        tuple([_compound_key(default, above) for default in defaults]),
        tuple(cells),
    )


@functools.lru_cache
def _rebound(code: types.CodeType) -> frozenset[str]:
    """The names of an enclosing function that this one binds anew, by `nonlocal`.

    `optax.cosine_decay_schedule` does so in its first call, and makes 20 steps 20.0: a
    number that is to be the same before and after, though of another type.
    """
    stored = {x.argval for x in dis.get_instructions(code) if x.opname == "STORE_DEREF"}
    return frozenset(stored.intersection(code.co_freevars))
