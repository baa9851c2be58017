"""The text of a node: its type, how much state it holds, its children by name."""

from __future__ import annotations

from typing import Any

from .._graph._walk import leaves
from .._objects._nodes import Node, is_array, is_data
from .._objects.variables._variable import Variable
from .._repr import array_repr, node_repr, size_note, value_size


def node_text(node: Any) -> str:
    """A readable text; an object met again is shown as `...`."""
    return _text(node, set())


def _text(value: Any, seen: set[int]) -> str:
    if isinstance(value, Variable):
        return repr(value)
    if is_array(value):
        return array_repr(value)
    if type(value) in (list, dict):
        return _plain_text(value, seen)
    if isinstance(value, tuple) and any(
        isinstance(item, Variable | Node | tuple | list | dict) for item in value
    ):
        return _tuple_text(value, seen)
    if not isinstance(value, Node):
        return getattr(value, "__name__", None) or array_repr(value)
    if id(value) in seen:
        return f"{type(value).__name__}(...)"
    seen.add(id(value))
    return _whole_text(value, seen)


def _tuple_text(value: tuple, seen: set[int]) -> str:
    """A tuple with state in it, with the names of its fields where it has any."""
    names = getattr(type(value), "_fields", None)
    labels = names or [""] * len(value)
    name = type(value).__name__ if names else ""
    return node_repr(
        name, "", [(k, _text(v, seen)) for k, v in zip(labels, value, strict=True)]
    )


def _whole_text(node: Any, seen: set[int]) -> str:
    """A node that is met for the first time."""
    pairs = dict(node._oakum_children())
    numbered = isinstance(node, list)
    keys = pairs if numbered else node._oakum_order()
    parts = [("" if numbered else str(k), _text(pairs[k], seen)) for k in keys]
    note = "" if isinstance(node, list | dict) else _note(node)
    return node_repr(type(node).__name__, note, parts)


def _plain_text(value: Any, seen: set[int]) -> str:
    """A plain list or dict, in its own brackets."""
    keyed = type(value) is dict
    if id(value) in seen:
        return "{...}" if keyed else "[...]"
    if is_data(value):
        seen.add(id(value))
    pairs = value.items() if keyed else enumerate(value)
    parts = [(repr(key) if keyed else "", _text(item, seen)) for key, item in pairs]
    return node_repr("", "", parts, "{}" if keyed else "[]")


def _note(node: Any) -> str:
    sizes: dict[str, tuple[int, int]] = {}
    for _, leaf in leaves(node):
        if isinstance(leaf, Variable):
            n, size = value_size(leaf.get_raw_value())
            old = sizes.get(type(leaf).__name__, (0, 0))
            sizes[type(leaf).__name__] = (old[0] + n, old[1] + size)
    return size_note(sizes)
