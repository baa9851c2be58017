"""`vars(module)`: the attributes as a dict whose edits are seen.

Python's own `__dict__` would take an edit past `__setattr__`: no version would tell of
it, and a compiled call would go on with what it knew. So `vars` gives a dict that
writes each edit through. What oakum itself reads is the real one, by `own_dict`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _guard as guard
from .._guard import active, context
from ._nodes import BOOKKEEPING, SNAPSHOT, Node


class WithDict(Node):
    """A node that holds its children as attributes."""

    __slots__ = ("__dict__", "__weakref__", SNAPSHOT, *BOOKKEEPING)


own_dict: Callable[[Any], dict[str, Any]] = WithDict.__dict__["__dict__"].__get__
"""The real `__dict__` of a node."""
_MISSING: Any = object()


class Vars(dict):
    """The attributes of a node, to read and to edit.

    It is a dict for whoever reads it as C does; its methods read the node as it is.

    Args:
        node: the node.
        put, drop: what sets an attribute, and what deletes one, past what the user's
            class does.
    """

    __slots__ = ("_drop", "_node", "_put")

    def __init__(self, node: Any, put: Callable, drop: Callable):
        super().__init__(own_dict(node))
        self._node, self._put, self._drop = node, put, drop

    def __setitem__(self, name: str, value: Any) -> None:
        kept = getattr(type(self._node), name, None) if type(name) is str else None
        if isinstance(kept, functools.cached_property):
            own_dict(self._node)[name] = value  # what each reader would compute
        else:
            self._put(self._node, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._drop(self._node, name)
        super().pop(name, None)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several attributes."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The attribute; it is set where it is missing."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Deletes an attribute, and gives it."""
        if name not in self and default is not _MISSING:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Deletes the attribute that was set last."""
        if not self:
            raise KeyError("no attributes")
        name = list(self)[-1]
        return name, self.pop(name)

    def clear(self) -> None:
        """Deletes all attributes."""
        for name in list(self):
            del self[name]

    def copy(self) -> dict[str, Any]:
        """A dict of its own."""
        return dict(own_dict(self._node))

    def __reduce__(self) -> tuple:
        return dict, (self.copy(),)

    __hash__ = None  # type: ignore[assignment]


def _reader(name: str) -> Callable:
    method = getattr(dict, name)

    def read(self: Vars, *args: Any) -> Any:
        return method(own_dict(self._node), *args)

    read.__name__ = name
    read.__qualname__ = f"Vars.{name}"
    read.__doc__ = method.__doc__
    return read


if not TYPE_CHECKING:
    for _name in (
        *("__getitem__", "__contains__", "__iter__", "__len__", "__reversed__"),
        *("get", "items", "keys", "values", "__repr__", "__eq__", "__ne__", "__or__"),
    ):
        setattr(Vars, _name, _reader(_name))


def dict_property(put: Callable, drop: Callable) -> property:
    """The `__dict__` of a class whose instances are edited by functions.

    Args:
        put: takes a node, a name and a value.
        drop: takes a node and a name.
    """

    def read(self: Any) -> Vars:
        if active and self._oakum_frame is not context.frame:
            self = guard.resolve(self)
        return Vars(self, put, drop)

    def write(self: Any, content: dict[str, Any]) -> None:
        attributes, new = read(self), dict(content)
        for name in [name for name in attributes if name not in new]:
            del attributes[name]
        attributes.update(new)

    return property(read, write)
