"""Axes and filters for arguments and results: what `in_axes` and `out_axes` say.

An axis specification is a prefix of the arguments: an int, None, `Carry` or a
`StateAxes` stands for all that is below it. Arrays are taken out of the arguments and
numbered, so that each has its axis beside it; Variables get theirs by identity.
"""

from __future__ import annotations

from typing import Any

import jax

from .._graph import leaves, tree_key
from .._objects import Node, is_object
from .._state import PathIn
from ._by_filter import ByFilter
from ._modes import modeless


class Carry:
    """In `in_axes` and `out_axes` of `scan`: what one step hands to the next."""


class StateAxes(ByFilter):
    """An axis for the state of an object, by filter.

    Args:
        filter_axes: a mapping from filter to axis, or (filter, axis) pairs; the first
            filter that selects a Variable decides.

    Example:
        >>> import oakum as nnx
        >>> nnx.StateAxes({nnx.Param: 0, ...: None}).axes
        (0, None)
    """

    def __init__(self, filter_axes: Any):
        super().__init__(filter_axes)

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes."""
        return self.values


@modeless
def prefix(node: Any, filter_map: Any) -> Any:
    """Axes for the arguments of a transform, chosen leaf by leaf.

    Args:
        node: an object, or a pytree of objects and arrays.
        filter_map: a mapping from filter to axis, of which the first that selects a
            leaf decides; or a function of path and leaf. Axes are hashable.

    Returns:
        What `in_axes` and `out_axes` take: a pytree of the form of `node`, with an axis
        in place of each Variable and array, and a `StateAxes` in place of each object.

    Raises:
        ArgumentError: no filter selects a leaf.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> given = {'scale': nnx.Param(jnp.array(2.0)), 'x': jnp.arange(3.0)}
        >>> axes = nnx.prefix(given, {nnx.Param: None, ...: 0})
        >>> nnx.vmap(lambda d: d['scale'] * d['x'], in_axes=(axes,))(given).tolist()
        [0.0, 2.0, 4.0]
    """
    choose = filter_map if callable(filter_map) else StateAxes(filter_map).select

    def axes(keys: tuple, value: Any) -> Any:
        path = tuple(map(tree_key, keys))
        if not isinstance(value, Node):
            return choose(path, value)
        by_axis: dict[Any, list[Any]] = {}
        for below, leaf in leaves(value):
            by_axis.setdefault(choose((*path, *below), leaf), []).append(below)
        return StateAxes([(PathIn(*paths), axis) for axis, paths in by_axis.items()])

    return jax.tree_util.tree_map_with_path(axes, node, is_leaf=is_object)
