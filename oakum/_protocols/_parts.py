"""The steps between a node and its leaves, as JAX sees them: a key for each.

A node flattens as a whole, so that shared Variables stay shared: its leaves are all
there at once. JAX asks each level of a pytree for the keys of the next, so the levels
between are stood for by Parts, which hold some of the leaves in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from .._graph._graphdef import LEAF, NODE, TREE, VAR, GraphDef
from .._state._state import State


class Layout(tuple[tuple[Any, Any, int], ...]):
    """For each child with leaves: its key, its own Layout or None, number of leaves.

    Attributes:
        flat: whether all children are leaves.
    """

    flat: bool

    def __new__(cls, children: Iterable[tuple[Any, Any, int]]) -> Layout:
        self = super().__new__(cls, children)
        self.flat = all([below is None for _, below, _ in self])
        return self


class Part:
    """What stands between a node and some of its leaves.

    Args:
        layout: how the leaves lie below.
        leaves: the leaves, in canonical order.
    """

    __slots__ = ("layout", "leaves")

    def __init__(self, layout: Layout, leaves: list[Any]):
        self.layout, self.leaves = layout, leaves


def layout_of(graphdef: GraphDef) -> Layout:
    """How the leaves of a node lie below it; found once for each structure."""
    if graphdef._layout is None:
        same = graphdef._same
        graphdef._layout = layout_of(same) if same else Layout(_layout(graphdef.token))
    return graphdef._layout


def _layout(token: tuple) -> Iterator[tuple[Any, Any, int]]:
    tag = token[0]
    if tag == NODE:
        pairs = zip([key for key, _ in token[1].open], token[3], strict=True)
        kind = token[1].cls
    else:
        pairs, kind = zip(token[3], token[4], strict=True), token[1]
    for key, child in pairs:
        if child[0] in (VAR, LEAF):
            yield _entry(kind, key), None, 1
        elif child[0] in (NODE, TREE):
            below = Layout(_layout(child))
            if below:
                yield _entry(kind, key), below, sum(size for _, _, size in below)


def _entry(kind: type, key: Any) -> Any:
    """A key of the kind that JAX has for children of a class."""
    if issubclass(kind, list | tuple) and isinstance(key, int):
        return SequenceKey(key)
    plain = kind is dict or issubclass(kind, State)
    return DictKey(key) if plain or not isinstance(key, str) else GetAttrKey(key)


def parted(layout: Layout, leaves: list[Any]) -> list[Any]:
    """The leaves as children of the level above: in Parts where levels are between."""
    if layout.flat:
        return leaves
    children, start = [], 0
    for _, below, size in layout:
        stop = start + size
        children.append(
            leaves[start] if below is None else Part(below, leaves[start:stop])
        )
        start = stop
    return children


def joined(children: Iterable[Any]) -> list[Any]:
    """All leaves of children that `parted` gave."""
    leaves = []
    for child in children:
        if type(child) is Part:
            leaves += child.leaves
        else:
            leaves.append(child)
    return leaves


def keyed(layout: Layout, children: list[Any]) -> list[tuple[Any, Any]]:
    """The children with their keys."""
    return [(entry[0], x) for entry, x in zip(layout, children, strict=True)]


jax.tree_util.register_pytree_with_keys(
    Part,
    lambda part: (keyed(part.layout, parted(part.layout, part.leaves)), part.layout),
    lambda layout, children: Part(layout, joined(children)),
    lambda part: (parted(part.layout, part.leaves), part.layout),
)
