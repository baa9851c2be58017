"""Axes and filters for arguments and results: what `in_axes` and `out_axes` say.

An axis specification is a prefix of the arguments: an int, None, `Carry` or a
`StateAxes` stands for all that is below it. `_axes.py` looks up by it the axis of each
array and Variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from ..._graph import tree_key
from ..._objects import is_variable
from .._modes import modeless
from ._by_filter import ByFilter


class Carry:
    """In `in_axes` and `out_axes` of `scan`: what one step hands to the next."""


class StateAxes(ByFilter, Mapping):
    """An axis for the state of an object, by filter: a mapping of one to the other.

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
        return self.chosen

    def __getitem__(self, filter: Any) -> Any:
        return dict(self._pairs)[filter]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.filters)

    def __len__(self) -> int:
        return len(self.filters)


@modeless
def prefix(node: Any, filter_map: Any) -> Any:
    """Axes for the arguments of a transform, chosen leaf by leaf.

    Args:
        node: an object, or a pytree of objects and arrays.
        filter_map: a mapping from filter to axis, of which the first that selects a
            leaf decides; or a function of path and leaf. Axes are hashable.

    Returns:
        What `in_axes` and `out_axes` take, of `jax.vmap` too: a pytree of the form of
        `node`, objects included, with an axis in place of each Variable and array.

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
    return jax.tree_util.tree_map_with_path(
        lambda keys, leaf: choose(tuple(map(tree_key, keys)), leaf),
        node,
        is_leaf=is_variable,
    )
