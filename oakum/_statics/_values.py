"""What can be said of a static value by its class: how it is compared.

Values of the standard library, NumPy and JAX that can be hashed are compared by their
own `==`. An object of anybody else's is compared by what it holds; where its class
does not say when two are equal, by its identity too. What holds state, or shows nothing
of what it holds, is compared by its identity alone.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections import deque
from typing import Any

import jax
import numpy as np

from .._objects._nodes import OBJECTS
from ._looks import DICT, SLOTS, Part

_ATOMS = (int, str, float, bool, type(None), type, bytes, complex, type(...))
ATOM_SET = frozenset(_ATOMS) - {type}
IDENTITY, TRUSTED, SIZED, VALUE, BOTH = range(5)
_LIBRARIES = frozenset(
    {*sys.stdlib_module_names, "jax", "jaxlib", "ml_dtypes", "numpy"}
) - {"__main__"}
_CONTAINERS = (dict, list, tuple, set, frozenset, deque, types.MappingProxyType)
_BY_IDENTITY = (*OBJECTS, jax.Array, types.ModuleType, types.CodeType, types.FrameType)


@functools.lru_cache(4096)
def rule_of(kind: type) -> int:
    """How values of a class are compared."""
    if issubclass(kind, _BY_IDENTITY):
        return IDENTITY
    if issubclass(kind, (enum.Enum, np.generic, np.dtype)):
        return TRUSTED
    hashable = getattr(kind, "__hash__", None) is not None
    library = kind.__module__.partition(".")[0] in _LIBRARIES
    if library and hashable and not issubclass(kind, types.MappingProxyType):
        return TRUSTED
    if issubclass(kind, _CONTAINERS):
        return VALUE
    if not _slots(kind) and not getattr(kind, "__dictoffset__", 0):
        return TRUSTED if hashable else SIZED
    return BOTH if kind.__eq__ is object.__eq__ else VALUE


@functools.lru_cache(4096)
def _slots(kind: type) -> tuple[str, ...]:
    """The names of the slots of a class and its bases."""
    return tuple(
        [
            name
            for base in kind.__mro__
            for name, item in vars(base).items()
            if type(item) is types.MemberDescriptorType
            and name != "__pydantic_fields_set__"
        ]
    )


@functools.lru_cache(4096)
def _computed(kind: type) -> frozenset[str]:
    """What `functools.cached_property` writes into the objects of a class."""
    return frozenset(
        name
        for base in kind.__mro__
        for name, item in vars(base).items()
        if isinstance(item, functools.cached_property)
    )


_MISSING: Any = object()


def namespace_of(value: Any, parts: list[Part]) -> tuple[tuple, tuple]:
    """The names of what an object holds, and what they hold; adds to the parts."""
    kind = type(value)
    names, values = (), ()
    if slots := _slots(kind):
        held = [(n, getattr(value, n, _MISSING)) for n in slots]
        names = tuple([n for n, v in held if v is not _MISSING])
        values = tuple([v for _, v in held if v is not _MISSING])
        parts.append((SLOTS, value, (names, values)))
    own = getattr(value, "__dict__", None)
    if type(own) is dict and (own or not isinstance(value, tuple)):
        parts.append((DICT, own, (tuple(own), tuple(own.values()))))
        computed = _computed(kind)
        pairs = sorted(
            [(n, v) for n, v in own.items() if n not in computed and type(n) is str],
            key=lambda pair: pair[0],
        )
        names += tuple([n for n, _ in pairs])
        values += tuple([v for _, v in pairs])
    return names, values
