"""Nodes whose leaves JAX has put something else in the place of.

`jax.tree.map(shape_of, model, is_leaf=is_variable)`, a prefix of axes, the bookkeeping
of `jax.vmap`: each makes a node with numbers, None or marks where the model has its
Variables and arrays. Taken apart again, such a node has the structure of the model, and
what stands there now for its leaves.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from .._graph._graphdef import GraphDef, Path
from .._objects._nodes import NUMBERS, is_array, is_object, is_variable

_replaced: dict[int, tuple[weakref.ref, GraphDef]] = {}


def note_replaced(
    node: Any, graphdef: GraphDef, pairs: Iterable[tuple[tuple[Path, bool], Any]]
) -> None:
    """Remembers the structure of a node that JAX has just made, where it needs that.

    Args:
        node: the node.
        graphdef: what it was made by.
        pairs: path of each leaf, whether that is of a Variable, and what is there.
    """
    if all(
        [is_variable(x) if of_variable else _fits(x) for (_, of_variable), x in pairs]
    ):
        return
    ident = id(node)

    def forget(_: Any) -> None:
        _replaced.pop(ident, None)

    _replaced[ident] = weakref.ref(node, forget), graphdef


def _fits(value: Any) -> bool:
    return is_array(value) or isinstance(value, NUMBERS)


def replaced(node: Any) -> tuple[list[Any], GraphDef] | None:
    """What stands for the leaves of such a node, and its structure; None for others."""
    if not _replaced or id(node) not in _replaced:
        return None
    graphdef = _replaced[id(node)][1]
    try:
        return list(_found(node, graphdef)), graphdef
    except (LookupError, TypeError):
        return None  # it was changed since, or holds a pytree of others


def _found(node: Any, graphdef: GraphDef) -> Iterator[Any]:
    for path, _ in graphdef.paths:
        value = node
        for key in path:
            if is_object(value):
                value = type(value)._oakum_slot(value)[key]
            else:
                fields = getattr(value, "_fields", ())
                value = value[fields.index(key) if key in fields else key]
        yield value
