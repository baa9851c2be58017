"""`vars(module)`: the attributes as a dict whose edits are seen.

Python's own `__dict__` would take an edit past `__setattr__`: no version would tell of
it, and a compiled call would go on with what it knew. So the `__dict__` of a node is of
a class whose methods edit the node; Python itself reads and writes it past them, and so
does oakum, by `put_raw` and `drop_raw`.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.core import Tracer

from .. import _guard as guard
from ._dicts import EditedDict
from ._nodes import BOOKKEEPING, SNAPSHOT, Node


class WithDict(Node):
    """A node that holds its children as attributes."""

    __slots__ = ("__dict__", "__weakref__", SNAPSHOT, *BOOKKEEPING)


own_dict: Callable[[Any], dict[str, Any]] = WithDict.__dict__["__dict__"].__get__
"""The `__dict__` of a node."""
_set_dict: Callable[[Any, Any], None] = WithDict.__dict__["__dict__"].__set__
SETUP = "_pytree__state"  # a property here, and where flax has what is no attribute


def blank(cls: type) -> Any:
    """An object of a class of nodes with attributes, which has none."""
    node, attributes = object.__new__(cls), Attributes()
    attributes._node = weakref.ref(node)
    _set_dict(node, attributes)
    return node


_SETTERS: dict[str, Callable[[Any, Any], None]] = {
    name: WithDict.__dict__[name].__set__ for name in BOOKKEEPING
}
_set_form, _set_formed = _SETTERS["_oakum_form"], _SETTERS["_oakum_formed"]
_set_frame, _set_mark = _SETTERS["_oakum_frame"], _SETTERS["_oakum_mark"]
_set_marks, _set_origin = _SETTERS["_oakum_marks"], _SETTERS["_oakum_origin"]
_set_version = _SETTERS["_oakum_version"]


def formed(form: Any, frame: Any, mark: Any, origin: Any) -> Any:
    """A node of a Form that nobody has edited, to be given its attributes by `furnish`.

    Args:
        form: the Form.
        frame, mark: what it belongs to.
        origin: the line that made what it stands for.
    """
    node = object.__new__(form.cls)
    _set_version(node, 0)
    _set_frame(node, frame)
    _set_mark(node, mark)
    _set_origin(node, origin)
    _set_marks(node, form.marks)
    _set_form(node, form)
    _set_formed(node, 0)
    return node


def furnish(node: Any, content: dict[str, Any], open_ones: Iterable[Any]) -> None:
    """Gives a node its attributes.

    Args:
        node: the node, which has none.
        content: the attributes in their order, which are copied.
        open_ones: names and values of those that `content` has no value for.
    """
    attributes = Attributes(content)
    dict.update(attributes, open_ones)
    attributes._node = weakref.ref(node)
    _set_dict(node, attributes)


def observed(node: Any) -> Any:
    """An object that Python made, with a `__dict__` of ours."""
    content = own_dict(node)
    content.pop(SETUP, None)
    attributes = Attributes(content)
    attributes._node = weakref.ref(node)
    _set_dict(node, attributes)
    return node


def put_raw(node: Any, name: str, value: Any) -> None:
    """Sets an attribute of a node, of which nobody is told."""
    dict.__setitem__(own_dict(node), name, value)


def drop_raw(node: Any, name: str) -> None:
    """Deletes an attribute of a node, of which nobody is told."""
    dict.__delitem__(own_dict(node), name)


def _is_tracer(value: Any) -> bool:
    return isinstance(value, Tracer)


class Attributes(EditedDict):
    """The attributes of a node, to read and to edit."""

    __slots__ = ("_node",)
    _node: weakref.ref[Any]

    def __setitem__(self, name: str, value: Any) -> None:
        node = self._node()
        kept = getattr(type(node), name, None) if type(name) is str else None
        if name == SETUP:
            return
        if node is None:
            super().__setitem__(name, value)
        elif isinstance(kept, functools.cached_property):
            # What each reader would compute; in a trace that ends, each computes it.
            at_home = node._oakum_mark == guard.current_trace()
            if at_home or not any(map(_is_tracer, jax.tree.leaves(value))):
                super().__setitem__(name, value)
        else:
            guard.writable(node)._oakum_put(name, value, put_raw)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        node = self._node()
        if node is None:
            super().__delitem__(name)
        else:
            guard.writable(node)._oakum_drop(name, drop_raw)

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return dict, (dict(self),)
