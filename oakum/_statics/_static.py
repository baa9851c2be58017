"""Static values: what is part of the structure, compared by value.

Configuration, functions and closures are compared by what they hold, so that a fresh
`optax.adam(1e-3)` equals the last one and a compiled step is found again. The walk that
makes the key also lists the parts that can change unseen, such as the `__dict__` of a
configuration object: a compiled call looks at them again (`_looks`).
"""

from __future__ import annotations

import dis
import functools
import types
import weakref
from collections import deque
from collections.abc import Collection, Hashable
from typing import Any

import jax
import numpy as np

from .._objects._classes import Identity
from .._objects._pickle import pack
from ..errors import StaticValueError
from ._casts import note_array
from ._globals import changing_globals, is_installed
from ._looks import ARRAY, CELL, DICT, ITEMS, SLOTS, Part
from ._values import (
    ATOM_SET,
    IDENTITY,
    SIZED,
    TRUSTED,
    VALUE,
    namespace_of,
    rule_of,
)


class Static:
    """A static value with the key that it is compared by.

    Args:
        value: anything.
        key: what to compare it by, where that is known.
        seen: whether edits of the value itself, though not of what it holds, are seen
            otherwise, as those of metadata are.

    Attributes:
        parts: what of it can change unseen.
    """

    __slots__ = ("_hash", "key", "parts", "seen", "value")

    def __init__(self, value: Any, key: Hashable = None, seen: bool = False):
        self.value = value
        if isinstance(value, jax.Array):
            raise _array_error(value)
        parts = _Parts()
        self.key = _key(value, (), parts) if key is None else key
        self.seen = seen
        self.parts = tuple(parts[1:] if seen and parts else parts)
        self._hash = hash(self.key)

    def renewed(self) -> Static:
        """The same value as it is now."""
        return Static(self.value, seen=self.seen)

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


def _array_error(value: Any) -> StaticValueError:
    return StaticValueError(
        f"A static value is an array: {value!r:.80}",
        remedy="nnx.data(array), or a plain attribute, which is data then; a NumPy "
        "array for a constant that is compared by value.",
    )


_MOST = 2048  # places that are looked at in one value


def static_key(value: Any) -> Hashable:
    """A hashable key such that equal keys mean the same behaviour."""
    return _key(value, (), _Parts())


def places_of(value: Any) -> list[Part]:
    """Where a pytree of others can change unseen; its arrays are looked at anyway."""
    parts = _Parts()
    _key(value, (), parts)
    return [part for part in parts if part[0] != ARRAY]


def is_fixed(value: Any) -> bool:
    """Whether nothing of a static value can change unseen."""
    parts = _Parts()
    _key(value, (), parts)
    return not parts


class _Parts(list[Part]):
    """The parts found so far.

    Attributes:
        inside: whether the walk stands in a function of an installed library. The
            containers that this closes over nobody edits.
    """

    inside = False


def _key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    kind = type(value)
    if kind in ATOM_SET:
        # The sign of zero and the type tell apart what `==` takes for equal.
        return (kind, repr(value)) if kind is float else (kind, value)
    if id(value) in above:
        return ("recursion", above.index(id(value)))
    above = (*above, id(value))
    make = _MAKERS.get(kind)
    if make is not None:
        return make(value, above, parts)
    for base, make in _OF_SUBCLASSES:
        if issubclass(kind, base):
            return make(value, above, parts)
    return _other_key(value, above, parts)


def _other_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    kind = type(value)
    rule = rule_of(kind)
    if rule == IDENTITY or len(parts) > _MOST:
        return Identity(value)
    if rule == TRUSTED:
        try:
            hash(value)
        except (TypeError, ValueError):  # the latter of a writable memoryview
            rule = SIZED
        else:
            return (kind, value)
    if rule == SIZED:  # of C, such as a bytearray or the items of a dict
        sized = isinstance(value, Collection)
        return _items_key(value, above, parts) if sized else Identity(value)
    return _object_key(value, above, parts, rule)


def _items_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    items = tuple(value)
    if not (parts.inside or isinstance(value, tuple)):
        parts.append((ITEMS, value, items))
    return (type(value), tuple([_key(item, above, parts) for item in items]))


def _set_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    items = tuple(value)
    if not (parts.inside or isinstance(value, frozenset)):
        parts.append((ITEMS, value, items))
    return (type(value), frozenset([_key(item, above, parts) for item in items]))


def _dict_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    keys, values = tuple(value), tuple(value.values())
    if not parts.inside:
        parts.append((DICT, value, (keys, values)))
    return (
        type(value),
        tuple(
            [
                (_key(k, above, parts), _key(v, above, parts))
                for k, v in zip(keys, values, strict=True)
            ]
        ),
    )


def _array_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    if value.dtype.hasobject:
        return _items_key(value.ravel(), above, parts)
    content = (value.shape, value.dtype.str, value.tobytes())
    note_array(value, content[2])
    parts.append((ARRAY, value, content))
    return (type(value), *content)


def _partial_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    held = (value.func, value.args, *value.keywords.values())
    names = tuple(value.keywords)
    if names and not parts.inside:
        parts.append((DICT, value.keywords, (names, held[2:])))
    return (type(value), names, tuple([_key(part, above, parts) for part in held]))


def _method_key(value: Any, above: tuple[int, ...], parts: _Parts) -> Hashable:
    function = _key(value.__func__, above, parts)
    return (types.MethodType, function, _key(value.__self__, above, parts))


def _class_key(value: type, above: tuple[int, ...], parts: _Parts) -> Hashable:
    if rule_of(value) in (TRUSTED, IDENTITY):
        return (type, value)
    # A class that is used as a namespace: its attributes are configuration.
    found: dict[str, Any] = {}
    for base in reversed(value.__mro__):
        if base is value or not is_installed(base.__module__):
            found.update(vars(base))
    return (type, value, *_settings_key(value, found, above, parts))


def _settings_key(
    place: Any, names: Any, above: tuple[int, ...], parts: _Parts
) -> tuple[Hashable, ...]:
    """What is set under public names of a class, a function or a module; () if none."""
    held = {
        name: item
        for name, item in names.items()
        if not name.startswith("_") and _is_setting(item)
    }
    if not held:
        return ()
    parts.append((SLOTS, place, (tuple(held), tuple(held.values()))))
    return (tuple([(n, _key(item, above, parts)) for n, item in held.items()]),)


def _own_settings(
    place: Any, module: str | None, above: tuple[int, ...], parts: _Parts
) -> tuple[Hashable, ...]:
    """What a program has set on a function or a module of its own."""
    held = vars(place)
    if not held or is_installed(module):
        return ()
    return _settings_key(place, held, above, parts)


def _module_key(
    value: types.ModuleType, above: tuple[int, ...], parts: _Parts
) -> Hashable:
    return (Identity(value), *_own_settings(value, value.__name__, above, parts))


def _class_settings(
    value: Any, names: tuple, above: tuple[int, ...], parts: _Parts
) -> tuple[Hashable, ...]:
    """What an object finds in its class, where it has no attribute of that name."""
    kind = type(value)
    bases = [b for b in reversed(kind.__mro__) if not is_installed(b.__module__)]
    found: dict[str, Any] = {}
    for base in bases:
        found.update(vars(base))
    inherited = {name: item for name, item in found.items() if name not in names}
    return _settings_key(kind, inherited, above, parts)


def _is_setting(item: Any) -> bool:
    return type(item) in ATOM_SET or isinstance(item, tuple | list | dict | set)


def _object_key(
    value: Any, above: tuple[int, ...], parts: _Parts, rule: int
) -> Hashable:
    """The key of an object of Python's: what it holds, by name."""
    kind = type(value)
    own: Any = None if rule == VALUE else Identity(value)
    base: Any = None
    if isinstance(value, dict | types.MappingProxyType):
        base = _dict_key(value, above, parts)
    elif isinstance(value, set | frozenset):
        base = _set_key(value, above, parts)
    elif isinstance(value, _SEQUENCES):
        base = _items_key(value, above, parts)
    names, values = namespace_of(value, parts)
    held = [(n, _key(v, above, parts)) for n, v in zip(names, values, strict=True)]
    shared = _class_settings(value, names, above, parts)
    return (kind, own, base, tuple(held), *shared)


_SEQUENCES = (tuple, list, deque)


def _function_key(
    function: types.FunctionType, above: tuple[int, ...], parts: _Parts
) -> Hashable:
    own = _own_settings(function, function.__module__, above, parts)
    read = _read_key(function, above, parts)
    if function.__closure__ is None and "<" not in function.__qualname__:
        return function if read is None and not own else (function, read, *own)
    maker = vars(function).get("jit")
    if maker is not None and getattr(maker, "call", None) is function:
        # What `nnx.jit` returns closes over its plans, which each call may add to.
        return (type(maker), _key(maker.static_parts, above, parts))
    cells = _cells_key(function, above, parts)
    defaults = (function.__defaults__, function.__kwdefaults__)
    return (
        function.__code__,
        Identity(function.__globals__),
        tuple([_key(default, above, parts) for default in defaults]),
        cells,
        read,
        *own,
    )


def _read_key(
    function: types.FunctionType, above: tuple[int, ...], parts: _Parts
) -> tuple | None:
    """The key of the globals that a function reads and may find changed."""
    settings = changing_globals(function)
    if not settings:
        return None
    held = tuple([function.__globals__.get(name) for name in settings])
    parts.append((SLOTS, function.__globals__, (settings, held)))
    return tuple([_key(item, above, parts) for item in held])


def _cells_key(
    function: types.FunctionType, above: tuple[int, ...], parts: _Parts
) -> tuple[Hashable, ...]:
    """The key of what a function closes over."""
    code, cells = function.__code__, []
    installed = is_installed(function.__globals__.get("__name__"))
    outside, parts.inside = parts.inside, installed
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # not yet filled
            content = None
        if not installed:
            parts.append((CELL, cell, content))
        if isinstance(content, jax.Array):
            cells.append(Identity(content))
        elif type(content) in (int, float) and name in _rebound(code):
            cells.append(("number", content))
        else:
            cells.append(_key(content, above, parts))
    parts.inside = outside
    return tuple(cells)


@functools.lru_cache
def _rebound(code: types.CodeType) -> frozenset[str]:
    """The names of an enclosing function that this one binds anew, by `nonlocal`.

    `optax.cosine_decay_schedule` does so in its first call, and makes 20 steps 20.0: a
    number that is to be the same before and after, though of another type.
    """
    stored = {x.argval for x in dis.get_instructions(code) if x.opname == "STORE_DEREF"}
    return frozenset(stored.intersection(code.co_freevars))


_MAKERS: dict[type, Any] = {
    tuple: _items_key,
    list: _items_key,
    dict: _dict_key,
    set: _set_key,
    frozenset: _set_key,
    types.FunctionType: _function_key,
    types.MethodType: _method_key,
    functools.partial: _partial_key,
    np.ndarray: _array_key,
    # What it stands for may be gone, and then tells nothing.
    weakref.ProxyType: lambda value, above, parts: Identity(value),
    weakref.CallableProxyType: lambda value, above, parts: Identity(value),
}
_OF_SUBCLASSES = (
    (type, _class_key),
    (types.ModuleType, _module_key),
    (functools.partial, _partial_key),
    (np.ndarray, _array_key),
)
