"""How long the axes are that a transform goes over, and values that have none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import RngState, Variable
from ...errors import ArgumentValueError
from .._lift import Flat
from ._axes import Axes


def axis_length(
    transform: str,
    flat: Flat,
    given: Axes,
    axis_size: int | None,
    option: str = "axis_size",
) -> int | None:
    """The size of the mapped axes, or None where nothing has one.

    Args:
        transform: its name as users write it.
        flat, given: the arguments, and their axes.
        axis_size: as it was given by itself.
        option: the name under which it was.

    Raises:
        ArgumentValueError: they differ, or a value lacks its axis.
    """
    sizes: list[tuple[Any, int]] = []
    for what, value, axis in _mapped(flat, given):
        shape = jnp.shape(value)
        if not -len(shape) <= axis < len(shape):
            _raise_without_axis(transform, given, what, value, axis)
        sizes.append((what, shape[axis]))
    if axis_size is not None:
        sizes.append((option, axis_size))
    if len({size for _, size in sizes}) > 1:
        listing = ", ".join(f"{_name(given, what)}: {size}" for what, size in sizes)
        raise ArgumentValueError(
            f"{transform}: the mapped axes differ in size: {listing}",
            remedy="give in_axes=None for what all share.",
        )
    return sizes[0][1] if sizes else None


def _mapped(flat: Flat, given: Axes) -> Iterator[tuple[Any, Any, int]]:
    """What has an axis: the Variable or the name of it, its value, and the axis."""
    for variable in flat.variables:
        axis = given.by_variable[id(variable)]
        if isinstance(axis, int):
            yield from _leaves(variable, variable.get_raw_value(), axis)
    for name, array, axis in zip(
        given.names, given.arrays, given.array_axes, strict=True
    ):
        if isinstance(axis, int):
            yield from _leaves(name, array, axis)


def _leaves(what: Any, value: Any, axis: int) -> Iterator[tuple[Any, Any, int]]:
    for leaf in jax.tree.leaves(value):
        yield what, leaf, axis


def _name(given: Axes, what: Any) -> str:
    return what if isinstance(what, str) else given.path(what)


def _raise_without_axis(
    transform: str, given: Axes, what: Any, value: Any, axis: int
) -> None:
    path = _name(given, what)
    kind = type(what if isinstance(what, Variable) else value).__name__
    if isinstance(what, RngState):
        remedy = (
            "a stream of keys has one, nnx.Rngs(0).fork(split=n) for n calls; or "
            "in_axes=None, and all of them draw the same."
        )
    elif isinstance(what, Variable):
        name = path.rpartition(".")[2]
        shared = f"nnx.StateAxes({{nnx.PathContains({name!r}): None, ...: {axis}}})"
        remedy = (
            f"in_axes={shared} for one that all share; or make the object under "
            "nnx.vmap, and it has one for each."
        )
    else:
        remedy = (
            "in_axes=None for what all share; for a seed each, "
            "nnx.Rngs(0).fork(split=n) in its place."
        )
    raise ArgumentValueError(
        f"{transform}: {path} ({kind} of shape {jnp.shape(value)}) has no axis {axis} "
        "to go over",
        remedy=remedy,
    )
