"""Classes of nodes that a program edits, such as by a method that it sets anew.

What a node finds in its class is part of what is compiled for it. No call could look at
all of that again; so the classes note it themselves when something is set on one of
them after a graph with such a node was described (`note_described`), at no cost for a
call. What is set back counts as it was.
"""

from __future__ import annotations

import dis
import weakref
from abc import ABCMeta
from collections.abc import Hashable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from .._compat import EAGER, tracing
from ._version import tick

_MISSING: Any = object()
_ATOMS = frozenset((int, float, str, bool, bytes, complex, type(None)))
_NO_MEANING = frozenset(
    (
        *("__abstractmethods__", "__annotations__", "__doc__", "__module__"),
        *("__name__", "__parameters__", "__qualname__", "__signature__"),
    )
)
_described: weakref.WeakSet[type] = weakref.WeakSet()
_edited: weakref.WeakKeyDictionary[type, dict[str, tuple[Any, Any]]]
_edited = weakref.WeakKeyDictionary()


class _Edits:
    """How many edits of classes there were that matter."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0


class_edits = _Edits()


if TYPE_CHECKING:
    _ClassOfProtocol = ABCMeta
else:
    _ClassOfProtocol = type(Protocol)


# Of Protocol's own class, so that a module may have a Protocol among its bases.
class NodeType(_ClassOfProtocol):
    """The class of the classes of nodes."""

    # Protocol's would take ten times as long.
    __instancecheck__ = ABCMeta.__instancecheck__
    __subclasscheck__ = ABCMeta.__subclasscheck__

    def __setattr__(cls, name: str, value: Any) -> None:
        if cls in _described and tracing.value is EAGER:
            _note(cls, name, vars(cls).get(name, _MISSING), value)
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        before = vars(cls).get(name, _MISSING)
        super().__delattr__(name)
        if cls in _described and tracing.value is EAGER:
            _note(cls, name, before, _MISSING)


def _note(cls: type, name: str, old: Any, new: Any) -> None:
    if (
        old is new
        or name in _NO_MEANING
        or name.startswith(("_abc_", "_oakum_"))
        or (type(old) is type(new) is int and _counts(cls, name))
    ):
        return
    own = _edited.setdefault(cls, {})
    first, _ = own.get(name, (old, old))
    own[name] = first, new
    if _by_value(first) == _by_value(new):
        del own[name]
    class_edits.now += 1
    tick()


def _counts(cls: type, name: str) -> bool:
    """Whether the methods of a class write a number themselves: it is a count."""
    own = [item for base in cls.__mro__ for item in vars(base).values()]
    functions = [getattr(item, "__func__", item) for item in own]
    return any(
        [
            step.opname == "STORE_ATTR" and step.argval == name
            for function in functions
            if isinstance(function, FunctionType) and name in function.__code__.co_names
            for step in dis.get_instructions(function)
        ]
    )


def note_described(cls: type) -> None:
    """From now on edits of a class, and of those it inherits from, are noted."""
    _described.update(cls.__mro__)


def edits_of(cls: type) -> tuple[Hashable, ...]:
    """What was edited of a class, to be compared; nothing for nearly all."""
    if not _edited:
        return ()
    return tuple(
        [
            (base, name, _by_value(value))
            for base in cls.__mro__
            for name, (_, value) in _edited.get(base, {}).items()
        ]
    )


def _by_value(value: Any) -> Hashable:
    return (type(value), repr(value)) if type(value) in _ATOMS else Identity(value)


class Identity:
    """Compares by identity, and keeps the object alive so that its id stays its own."""

    __slots__ = ("obj",)

    def __init__(self, obj: Any):
        self.obj = obj

    def __hash__(self) -> int:
        return id(self.obj)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.obj is other.obj
