"""What a model holds: its nodes in order, and the Variables that each of them owns.

An *entry* is a node with attributes (a Module, a stream, an optimizer), or the root.
What stands in its lists and dicts is its own. An object that several places share
belongs to the first; the others refer to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

from .._graph import Path, children
from .._objects import Node, RngState, Variable, WithDict, is_array, is_data
from .._repr import value_size


class Size(NamedTuple):
    """Elements and bytes."""

    elements: int
    bytes: int


def total(sizes: Iterable[tuple[int, int]]) -> Size:
    """Their sum."""
    pairs = list(sizes)
    return Size(sum(n for n, _ in pairs), sum(size for _, size in pairs))


class Held(NamedTuple):
    """A Variable or a bare array in its place.

    Attributes:
        name: its path below the entry.
        value: the Variable or array.
        same_as: the path where it is listed and counted, if that is another.
    """

    name: str
    value: Any
    same_as: Path | None


@dataclasses.dataclass(eq=False)
class Entry:
    """A node and what it owns.

    Attributes:
        path: where it stands first.
        node: the node itself.
        parent: the entry above it.
        held: the Variables and arrays of its own.
        also: where else it stands.
        sizes: by type, of all that stands first here or below.
    """

    path: Path
    node: Any
    parent: Entry | None
    held: list[Held] = dataclasses.field(default_factory=list)
    also: list[Path] = dataclasses.field(default_factory=list)
    sizes: dict[type, Size] = dataclasses.field(default_factory=dict)


def path_text(path: Path) -> str:
    """A path as the table shows it."""
    return "/".join(map(str, path))


def kind_of(value: Any) -> type:
    """The type that a Variable or array is listed under."""
    if not isinstance(value, Variable):
        return jax.Array
    return RngState if isinstance(value, RngState) else type(value)


def kind_name(kind: type) -> str:
    """The name of its column."""
    return "Array" if kind is jax.Array else kind.__name__


def size_of(value: Any) -> Size:
    """The size of a Variable or array."""
    raw = value.get_raw_value() if isinstance(value, Variable) else value
    return total(map(value_size, jax.tree.leaves(raw)))


def take_inventory(root: Any) -> list[Entry]:
    """The entries of a graph, each before those below it."""
    found = _Search()
    found.visit(root, (), None)
    for entry in reversed(found.entries):
        if entry.parent is not None:
            _add(entry.parent.sizes, entry.sizes)
    return found.entries


def _add(sizes: dict[type, Size], more: dict[type, Size]) -> None:
    for kind, size in more.items():
        sizes[kind] = total([sizes.get(kind, (0, 0)), size])


class _Search:
    """One walk over a graph, in the order in which attributes were set."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._first: dict[int, Path] = {}
        self._by_node: dict[int, Entry] = {}

    def visit(self, value: Any, path: Path, owner: Entry | None) -> None:
        """Lists a value and all that is below it.

        Args:
            value: anything.
            path: where it stands.
            owner: the entry that it is a part of; None for the root.
        """
        first = path
        if isinstance(value, Node | Variable):
            first = self._first.setdefault(id(value), path)
            if first is not path and id(value) in self._by_node:
                self._by_node[id(value)].also.append(path)
        if owner is None or (isinstance(value, WithDict) and first is path):
            owner = Entry(path, value, owner)
            self._by_node[id(value)] = owner
            self.entries.append(owner)
        if isinstance(value, Variable) or is_array(value):
            name = path_text(path[len(owner.path) :])
            owner.held.append(Held(name, value, None if first is path else first))
            if first is path:
                _add(owner.sizes, {kind_of(value): size_of(value)})
        elif first is path:
            for key, child in _ordered(value):
                self.visit(child, (*path, key), owner)


def _ordered(value: Any) -> list[tuple[Any, Any]]:
    pairs = dict(children(value))
    if not isinstance(value, Node):
        return list(pairs.items())
    marks = value._oakum_marks or {}
    return [
        (key, pairs[key])
        for key in value._oakum_order()
        if marks.get(key) != "static" and is_data(pairs[key])
    ]
