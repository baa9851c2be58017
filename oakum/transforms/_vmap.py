"""vmap: maps a function that takes objects over axes of its arguments."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import ArgumentError
from ._lift import Body, Flat
from ._prefix import Axes, StateAxes

_MISSING: Any = object()


def vmap(
    f: Any = _MISSING,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> Any:
    """A function that maps `f` over an axis of its arguments, all at once.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        in_axes: an axis, None for what every call shares, a `StateAxes`, or one of
            these for each argument.
        out_axes: likewise for what `f` returns.
        axis_name: a name of the axis, for collectives.
        axis_size: the size of the axis, where no argument has it.
        spmd_axis_name: as for `jax.vmap`.

    Returns:
        A function of the same arguments. A Variable that `f` writes keeps the axis that
        it came in with.

    Raises:
        ArgumentError: a Variable that all calls share is written by each differently;
            a Variable has two axes; axis sizes disagree.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> @nnx.vmap
        ... def make(key):
        ...     return nnx.Linear(2, 3, rngs=nnx.Rngs(key))
        >>> models = make(jax.random.split(jax.random.key(0), 5))
        >>> models.kernel.shape
        (5, 2, 3)
        >>> nnx.vmap(lambda m, x: m(x), in_axes=(0, None))(models, jnp.ones(2)).shape
        (5, 3)
    """
    if f is _MISSING:
        return functools.partial(
            vmap,
            in_axes=in_axes,
            out_axes=out_axes,
            axis_name=axis_name,
            axis_size=axis_size,
            spmd_axis_name=spmd_axis_name,
        )
    options: dict[str, Any] = {
        "axis_name": axis_name,
        "axis_size": axis_size,
        "spmd_axis_name": spmd_axis_name,
    }

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = Axes()
        taken = (
            given.take_arguments(in_axes, args),
            given.take(dict.fromkeys(kwargs, 0), kwargs, "kwargs"),
        )
        returned = Axes()

        def call(*inner: Any, **keywords: Any) -> Any:
            return returned.take(out_axes, f(*inner, **keywords), "result")

        body = Body("vmap", call, Flat.of(taken))
        _check_sizes(body, given)
        kinds = {*given.by_variable.values(), *_plain(out_axes), 0, None}

        def pure(variables: list, leaves: list, dynamic: list) -> dict[str, list]:
            values = body.run((variables, leaves, dynamic))
            grouped: dict[str, list] = {str(axis): [] for axis in kinds}
            for axis, value in zip(
                _output_axes(body, given, returned), values, strict=True
            ):
                grouped[str(axis)].append(value)
            for axis, value in zip(returned.array_axes, returned.arrays, strict=True):
                grouped[str(axis)].append(value)
            returned.arrays = []
            return grouped

        variable_axes = [given.by_variable[id(v)] for v in body.flat.variables]
        leaf_axes = [None] * len(body.flat.places)
        mapped = jax.vmap(
            pure,
            in_axes=(variable_axes, leaf_axes, given.array_axes),
            out_axes={str(axis): axis for axis in kinds},
            **options,
        )
        try:
            grouped = mapped(*body.flat.values(), given.arrays)
        except ValueError as error:
            raise _explain(error, body, given) from error
        parts = {axis: iter(values) for axis, values in grouped.items()}
        axes = _output_axes(body, given, returned)
        values = [next(parts[str(axis)]) for axis in axes]
        arrays = [next(parts[str(axis)]) for axis in returned.array_axes]
        return body.commit(values, arrays)

    return wrapped


def _plain(axes: Any) -> set[Any]:
    """The axes that a specification names."""
    found: set[Any] = set()
    for axis in jax.tree.leaves(axes, is_leaf=lambda x: x is None):
        found |= set(axis.axes) if isinstance(axis, StateAxes) else {axis}
    return found


def _output_axes(body: Body, given: Axes, returned: Axes) -> list[Any]:
    """The axis of each output value, in the Outcome's order."""
    outcome, originals = body.outcome, body.flat.objects
    axes = [given.by_variable[id(originals[i])] for i in outcome.written]
    new = [i for i in outcome.emitted if i >= outcome.n_known]
    axes += [returned.by_variable.get(body.object_ids[i], 0) for i in new]
    return axes + [None] * outcome.n_leaves


def _check_sizes(body: Body, given: Axes) -> None:
    """Raises where the mapped axes differ in size, with all that have one."""
    sizes: dict[str, int] = {}
    for variable in body.flat.variables:
        axis = given.by_variable[id(variable)]
        if axis is not None:
            shape = jnp.shape(variable.get_raw_value())
            if -len(shape) <= axis < len(shape):
                sizes[given.path(variable)] = shape[axis]
    for name, array, axis in zip(
        given.names, given.arrays, given.array_axes, strict=True
    ):
        for leaf in jax.tree.leaves(array) if isinstance(axis, int) else ():
            shape = jnp.shape(leaf)
            if -len(shape) <= axis < len(shape):
                sizes[name] = shape[axis]
    if len(set(sizes.values())) > 1:
        listing = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise ArgumentError(
            f"vmap: the mapped axes differ in size: {listing}",
            remedy="give in_axes=None for what all calls share.",
        )


def _explain(error: ValueError, body: Body, given: Axes) -> Exception:
    """An error that names Variables, for one of JAX's that cannot."""
    originals = body.flat.objects
    shared = [
        f"{given.path(originals[i])} ({type(originals[i]).__name__})"
        for i in getattr(body.outcome, "written", ())
        if given.by_variable[id(originals[i])] is None
    ]
    if shared and "out_axes" in str(error):
        return ArgumentError(
            f"vmap: every call writes its own value to what they share: "
            f"{', '.join(shared)}",
            remedy="map it with an axis of its own, in_axes=nnx.StateAxes({...: 0}), "
            "or make the value the same for all calls (jax.lax.pmean over axis_name).",
        )
    return error
