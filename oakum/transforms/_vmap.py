"""vmap: maps a function that takes objects over axes of its arguments."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax

from .._engine._modes import MISSING, keeping
from .._engine._signature import by_position
from .._engine._traceback import trimmed
from .._engine.axes._by_filter import by_path
from .._engine.axes._lengths import axis_length
from .._engine.axes._mapped import Mapped
from .._engine.axes._prefix import StateAxes
from ..errors import ArgumentError, OakumError


@keeping
def vmap(
    f: Any = MISSING,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
    transform_metadata: Mapping[str, Any] | None = None,
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
        transform_metadata: `{nnx.PARTITION_NAME: name}` for Variables that name their
            axes: the mapped axis has this name, which `f` does not see.

    Returns:
        A function of the same arguments. A Variable that `f` writes keeps the axis that
        it came in with.

    Raises:
        ArgumentError: a Variable that all calls share is written by each differently;
            a Variable has two axes.
        ArgumentValueError: axis sizes disagree; a value has no axis to go over.

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
    in_axes, out_axes = by_path((in_axes, out_axes), StateAxes)
    options: dict[str, Any] = {
        "axis_name": axis_name,
        "axis_size": axis_size,
        "spmd_axis_name": spmd_axis_name,
    }

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = by_position(f, args, kwargs, in_axes)
        axes = in_axes, out_axes
        mapped = Mapped.over_axes("vmap", f, call, axes, transform_metadata)
        axis_length("vmap", mapped.body.flat, mapped.given, axis_size)
        try:
            return mapped.run(
                lambda pure, inputs, outputs: jax.vmap(
                    pure, in_axes=inputs, out_axes=outputs, **options
                )
            )
        except ValueError as error:
            if isinstance(error, OakumError) or "out_axes" not in str(error):
                raise
            shared = mapped.written_whole()
            raise ArgumentError(
                f"vmap: every call writes its own value to what they share: "
                f"{', '.join(shared)}"
                if shared
                else "vmap: every call gives its own value for a result of which "
                "out_axes=None says that all give the same",
                remedy="give it an axis of its own, in_axes=nnx.StateAxes({...: 0}), "
                "or make the value the same for all calls (jax.lax.pmean over "
                "axis_name).",
            ) from error

    return wrapped
