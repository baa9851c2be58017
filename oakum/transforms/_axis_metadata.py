"""transform_metadata: the names of axes follow what transforms do with the axes.

A Variable's metadata may name its axes (`sharding_names`). Inside `vmap` and `scan` the
mapped axis is gone, and so must be its name; what comes out has it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..core import Encoder, Variable, axis_names_key
from ..errors import ArgumentValueError
from ._prefix import Axes

PARTITION_NAME = "partition_name"
NO_METADATA: Mapping[str, Any] = MappingProxyType({})
_MISSING: Any = object()


def transform_metadata(
    f: Any = _MISSING, *, in_axes: Any = 0, out_axes: Any = 0, partition: str | None
) -> Any:
    """A function inside of which the name of an axis is gone from all metadata.

    For the function that is given to `vmap`, `scan` or `pmap` with the same axes; their
    own `transform_metadata={nnx.PARTITION_NAME: ...}` does the same.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        in_axes: the axis that the transform takes from each argument.
        out_axes: the axis that it adds to what `f` returns.
        partition: the name of that axis, such as `'layers'`.

    Returns:
        A function of the same arguments.

    Raises:
        ArgumentValueError: the metadata of an argument has another name there.

    Example:
        >>> import oakum as nnx, jax
        >>> @nnx.vmap
        ... @nnx.transform_metadata(partition='layers')
        ... def make(key):
        ...     return nnx.Param(jax.random.normal(key, (3,)), sharding_names=('d',))
        >>> make(jax.random.split(jax.random.key(0), 2)).sharding_names
        ('layers', 'd')
    """
    if f is _MISSING:
        return functools.partial(
            transform_metadata, in_axes=in_axes, out_axes=out_axes, partition=partition
        )
    return with_axis(f, in_axes, out_axes, {PARTITION_NAME: partition})


def with_axis(
    f: Callable[..., Any], in_axes: Any, out_axes: Any, metadata: Mapping[str, Any]
) -> Callable[..., Any]:
    """`transform_metadata`, with more metadata that has an entry for each axis.

    Args:
        f: the function.
        in_axes, out_axes: as for `vmap`.
        metadata: the name of the axis as `PARTITION_NAME`, and what other metadata,
            a tuple with an entry for each axis, gets there. Without a name `f` is as
            it was.
    """
    if PARTITION_NAME not in metadata:
        return f
    others = {k: v for k, v in metadata.items() if k != PARTITION_NAME}
    name = metadata[PARTITION_NAME]

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given, returned = Axes(), Axes()
        given.take_arguments(in_axes, args)
        came = _with_axis(args, given)
        for variable, axis in came:
            _remove(variable, axis, name, others)
        result = f(*args, **kwargs)
        returned.take(out_axes, result, "result")
        known = {id(variable) for variable, _ in came}
        made = [vx for vx in _with_axis(result, returned) if id(vx[0]) not in known]
        for variable, axis in [*came, *made]:
            _add(variable, axis, name, others)
        return result

    return wrapped


def _with_axis(value: Any, axes: Axes) -> list[tuple[Variable, int]]:
    encoder = Encoder()
    encoder.visit(value)
    found = [(v, axes.by_variable.get(id(v))) for v in encoder.variables]
    return [(variable, axis) for variable, axis in found if isinstance(axis, int)]


def _remove(variable: Variable, axis: int, name: Any, others: dict[str, Any]) -> None:
    index = axis if axis >= 0 else axis + len(variable.shape) + 1
    for key, expected in _per_axis(variable, name, others):
        entries = list(variable.get_metadata(key))
        gone = entries.pop(index) if index < len(entries) else None
        if gone != expected:
            raise ArgumentValueError(
                f"transform_metadata: {type(variable).__name__} has "
                f"{key}={variable.get_metadata(key)!r}, of which axis {index} is to be "
                f"{expected!r}, not {gone!r}",
                remedy="give the axis its name where the Variable is made, or map "
                "another axis.",
            )
        variable.set_metadata(key, tuple(entries))
    variable.remove_axis(index, name)


def _add(variable: Variable, axis: int, name: Any, others: dict[str, Any]) -> None:
    index = axis if axis >= 0 else axis + len(variable.shape) + 1
    for key, entry in _per_axis(variable, name, others):
        entries = list(variable.get_metadata(key))
        entries += [None] * (index - len(entries))
        entries.insert(index, entry)
        variable.set_metadata(key, tuple(entries))
    variable.add_axis(index, name)


def _per_axis(
    variable: Variable, name: Any, others: dict[str, Any]
) -> list[tuple[str, Any]]:
    """The metadata that has an entry for each axis, and what the new axis gets."""
    meta = variable.get_metadata()
    key = axis_names_key(meta)
    pairs = [(key, name)] if key and isinstance(meta[key], tuple) and meta[key] else []
    for other, entry in others.items():
        if isinstance(meta.get(other), tuple) and meta[other]:
            pairs.append((other, entry))
    return pairs
