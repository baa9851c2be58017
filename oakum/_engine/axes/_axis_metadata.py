"""transform_metadata: a Variable's names of its axes, under vmap, scan and pmap.

`out_sharding=('layers', None, 'model')` names the axes of a stacked array. The function
that a transform maps sees one layer, so the name of the mapped axis is taken out on the
way in, and put back on the way out. With `transform_metadata={nnx.PARTITION_NAME:
'layers'}` the transforms do so; further keys name further metadata that holds one item
for each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp

from ..._graph import Encoder
from ..._guard import context
from ..._objects import (
    PARTITION_NAME,
    Variable,
    axis_names,
    bump,
    is_variable,
    versions,
)
from ...errors import ArgumentValueError
from .._lift import Body, Flat
from .._modes import MISSING, modeless
from .._signature import by_position
from .._traceback import trimmed
from ._axes import Axes

_NAMES = (tuple, list, jax.sharding.PartitionSpec)


@modeless
def transform_metadata(
    f: Any = MISSING,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    partition: str | None,
) -> Any:
    """A function to be mapped, that sees Variables without the name of the mapped axis.

    `vmap`, `scan` and `pmap` do the same with their `transform_metadata=`.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        in_axes, out_axes: those of the transform that maps the function.
        partition: the name of the mapped axis, or None where it has no name.

    Returns:
        A function of the same arguments.

    Raises:
        ArgumentValueError: the axis of a Variable has another name.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> @nnx.vmap(in_axes=0, out_axes=0)
        ... @nnx.transform_metadata(in_axes=0, out_axes=0, partition='layers')
        ... def make(x):
        ...     return nnx.Param(x, out_sharding=('model',))
        >>> make(jnp.ones((5, 2))).out_sharding
        ('layers', 'model')
    """
    metadata = {PARTITION_NAME: partition}

    @wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, in_axes)
        given, returned = Axes(), Axes()
        flat = given.of_arguments(in_axes, args, 0, kwargs)

        def call(*inner: Any, **keywords: Any) -> Any:
            return returned.of_result(out_axes, f(*inner, **keywords))

        names = AxisNames("transform_metadata", metadata)
        named = names.wrap(call, flat, given, returned)
        body = Body("transform_metadata", named, flat)
        values = body.run(flat.values(given.arrays))
        return body.commit(values, returned.release())

    return wrapped


class AxisNames:
    """Takes names of axes out for a call, and puts them back.

    Args:
        transform: what messages call the transform.
        metadata: the name of the axis, and further metadata by its name.
    """

    def __init__(self, transform: str, metadata: Mapping[str, Any]):
        self.transform = transform
        self.name = metadata[PARTITION_NAME]
        self.others = {k: v for k, v in metadata.items() if k != PARTITION_NAME}

    def wrap(
        self, call: Callable[..., Any], flat: Flat, given: Axes, returned: Axes
    ) -> Callable[..., Any]:
        """The function, to be called inside the trace, with the names taken out.

        Args:
            call: the function.
            flat: the original arguments, taken apart.
            given: their axes.
            returned: the axes of what the call returned, once it did.
        """

        def renamed(*args: Any, **kwargs: Any) -> Any:
            assert context.frame is not None
            twins, axes = context.frame.twins, given.by_variable
            named = [
                (twins[id(v)], axes.get(id(v)), v) for v in flat.variables if v._meta
            ]
            for twin, axis, variable in named:
                if isinstance(axis, int):
                    self.remove(twin, axis, partial(given.path, variable))
            result = call(*args, **kwargs)
            if any(versions(twins.values())) or returned.by_variable:
                known = {id(twins[id(v)]): axes.get(id(v)) for v in flat.variables}
                known = {**returned.by_variable, **known}
                encoder = Encoder()
                encoder.visit((args, kwargs, result))
                named = [(v, known.get(id(v), 0), v) for v in encoder.variables]
            for twin, axis, _ in named:
                if isinstance(axis, int):
                    self.add(twin, axis)
            return result

        return renamed

    def remove(self, variable: Any, axis: int, path: Callable[[], str]) -> None:
        """Takes the name of an axis out of a Variable's metadata.

        Args:
            variable: the Variable.
            axis: the axis.
            path: gives the path of the Variable, for a message.

        Raises:
            ArgumentValueError: the axis has another name.
        """
        if not variable._meta:
            return
        axis = _from_front(axis, variable)
        for key, names, name in self._named(variable):
            kept = list(names)
            found = kept.pop(axis) if axis < len(kept) else None
            if found != name:
                raise ArgumentValueError(
                    f"{self.transform}: axis {axis} of {path()} is named {found!r} in "
                    f"{key}={names!r}, expected {name!r}",
                    remedy="transform_metadata={nnx.PARTITION_NAME: "
                    f"{found!r}}}, or name the axis {name!r}.",
                )
            # Not by set_metadata: when all is put back, nothing has changed.
            variable._meta = {**variable._meta, key: tuple(kept)}
        variable.remove_axis(axis, self.name)

    def add(self, variable: Any, axis: int) -> None:
        """Puts the name of an axis into a Variable's metadata."""
        if not variable._meta:
            return
        axis = _from_front(axis, variable)
        for key, names, name in self._named(variable):
            more = [*names, *[None] * (axis - len(names))]
            more.insert(axis, name)
            variable._meta = {**variable._meta, key: tuple(more)}
        variable.add_axis(axis, self.name)

    def _named(self, variable: Variable) -> list[tuple[str, Any, Any]]:
        """Key, names and name of the mapped axis, of metadata with a name per axis."""
        meta = variable._meta
        found = [("out_sharding", axis_names(meta), self.name)]
        found += [(k, meta[k], v) for k, v in self.others.items() if meta.get(k)]
        return [(k, n, v) for k, n, v in found if isinstance(n, _NAMES)]


def add_axis(tree: Any, index: int, transform_metadata: Mapping[Any, Any]) -> Any:
    """Puts the name of a new axis into the metadata of Variables, in place.

    Args:
        tree: a State, a node, or a pytree of these and of Variables.
        index: where the axis is.
        transform_metadata: `{nnx.PARTITION_NAME: name}`, and other metadata that has
            an entry for each axis.

    Returns:
        The same tree.

    Raises:
        ArgumentValueError: the name of the axis is missing.
    """
    names = AxisNames("add_axis", _with_name(transform_metadata))
    for variable in _variables_of(tree):
        names.add(variable, index)
        bump(variable)
    return tree


def remove_axis(tree: Any, index: int, transform_metadata: Mapping[Any, Any]) -> Any:
    """Takes the name of an axis out of the metadata of Variables, in place.

    Args:
        tree, index, transform_metadata: as for `add_axis`.

    Returns:
        The same tree.

    Raises:
        ArgumentValueError: the name is missing, or is not that of the axis.
    """
    names = AxisNames("remove_axis", _with_name(transform_metadata))
    for variable in _variables_of(tree):
        names.remove(variable, index, lambda: "the Variable")
        bump(variable)
    return tree


def _with_name(metadata: Mapping[Any, Any]) -> Mapping[Any, Any]:
    if PARTITION_NAME not in metadata:
        raise ArgumentValueError(
            f"transform_metadata={dict(metadata)!r} does not name the axis",
            remedy="{nnx.PARTITION_NAME: name}; the name may be None.",
        )
    return metadata


def _variables_of(tree: Any) -> list[Any]:
    return [x for x in jax.tree.leaves(tree, is_leaf=is_variable) if is_variable(x)]


def _from_front(axis: int, variable: Any) -> int:
    """The mapped axis, counted from the front; inside, the array lacks it."""
    return axis if axis >= 0 else axis + jnp.ndim(variable._raw) + 1
