"""scan: a loop over an axis of the arguments, with a carry."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax

from .._compiled._once import once
from .._engine._by_filter import by_path
from .._engine._modes import MISSING, keeping
from .._engine._prefix import Carry, StateAxes
from .._engine._scanned import Scanned
from .._engine._signature import by_position
from .._engine._traceback import trimmed
from .._guard import ROOT, current_trace
from .._objects import NUMBERS, is_object
from ..errors import ArgumentError, ArgumentValueError


@keeping
def scan(
    f: Any = MISSING,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    in_axes: Any = (Carry, 0),
    out_axes: Any = (Carry, 0),
    transform_metadata: Mapping[str, Any] | None = None,
) -> Any:
    """A function that loops `f` over an axis of its arguments.

    Args:
        f: takes and returns objects and arrays; left out where used as a decorator.
        length: the number of steps, where no argument has the axis.
        reverse: whether to go from the last to the first.
        unroll: how many steps to compile as one.
        _split_transpose: as for `jax.lax.scan`.
        in_axes: for each argument an axis, `Carry` for what one step hands to the next,
            None for what all share, or a `StateAxes` of these. Streams that all share
            give the same keys in each step.
        out_axes: likewise for what `f` returns; `Carry` where the new carry stands: the
            objects that came in, or others of their structure.
        transform_metadata: as for `vmap`.

    Returns:
        A function of the same arguments. A carried Variable that `f` writes has its
        last value afterwards, and one with an axis has all, stacked.

    Raises:
        ArgumentError: a Variable that all steps share is written; the carry changes
            shape or dtype; `Carry` is in `in_axes` but not in `out_axes`, or twice.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> @nnx.vmap
        ... def make(key):
        ...     return nnx.Linear(3, 3, rngs=nnx.Rngs(key))
        >>> layers = make(jax.random.split(jax.random.key(0), 5))
        >>> @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        ... def forward(x, layer):
        ...     return nnx.relu(layer(x))
        >>> forward(jnp.ones((2, 3)), layers).shape
        (2, 3)
    """
    in_axes, out_axes = by_path((in_axes, out_axes), StateAxes)
    counts = _count_carries(in_axes), _count_carries(out_axes)
    if counts not in ((0, 0), (1, 1)):
        raise ArgumentValueError(
            f"scan: Carry must stand once in both, or in neither, of "
            f"in_axes={in_axes!r} and out_axes={out_axes!r}",
            remedy="in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0); carry several "
            "values as one tuple.",
        )

    names = tuple((transform_metadata or {}).items())
    options = (in_axes, out_axes, length, reverse, unroll, _split_transpose, names)

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, in_axes)
        if kwargs:
            raise ArgumentError(
                f"scan: {', '.join(kwargs)} can only be passed by keyword, and in_axes "
                "has nothing for it",
                remedy="make it a positional parameter, or give it with "
                "functools.partial.",
            )
        if current_trace() != ROOT or _has_constants(in_axes, args):
            return _scan((f,), options, *args)
        return once(_scan, (f,), options, args)

    return wrapped


def _scan(functions: tuple, options: tuple, *args: Any) -> Any:
    in_axes, out_axes, length, reverse, unroll, split_transpose, names = options
    loop = Scanned(functions[0], args, in_axes, out_axes, dict(names))
    carry, ys = jax.lax.scan(
        lambda carry, inputs: loop.step(carry, inputs),  # JAX is slower with methods
        loop.first_carry(),
        loop.inputs(),
        length=length,
        reverse=reverse,
        unroll=unroll,
        _split_transpose=split_transpose,
    )
    return loop.finish(carry, ys)


def _has_constants(in_axes: Any, args: tuple) -> bool:
    """Whether a number is shared by all steps, which may use its value."""
    axes = in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(args)
    return any(
        isinstance(leaf, NUMBERS)
        for axis, arg in zip(axes, args, strict=False)
        if axis is not Carry and not isinstance(axis, int)
        for leaf in jax.tree.leaves(arg, is_leaf=is_object)
    )


def _count_carries(axes: Any) -> int:
    if isinstance(axes, tuple | list):
        return sum(map(_count_carries, axes))
    return int(axes is Carry)
