"""scan: a loop over an axis of the arguments, with a carry."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._compiled._once import once
from .._engine._carry import CarryEdited
from .._engine._modes import MISSING, keeping
from .._engine._signature import by_position
from .._engine._traceback import trimmed
from .._engine.axes._by_filter import by_path
from .._engine.axes._lengths import axis_length
from .._engine.axes._prefix import Carry, StateAxes
from .._engine.axes._scanned import (
    Scanned,
    SharedIsWritten,
    carry_path,
    part_at,
    path_of_carry,
    with_part,
)
from .._guard import ROOT, current_trace
from .._objects import NUMBERS, is_object
from ..errors import ArgumentError, ArgumentValueError, StructureError


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
            give the same keys in each step; another Variable that all share is handed
            on where `f` writes it, as in a loop of Python.
        out_axes: likewise for what `f` returns; `Carry` where the new carry stands: the
            objects that came in, or others of their structure.
        transform_metadata: as for `vmap`.

    Returns:
        A function of the same arguments. A carried Variable that `f` writes has its
        last value afterwards, and one with an axis has all, stacked.

    Raises:
        ArgumentError: the carry changes shape or dtype; `Carry` is in `in_axes` but not
            in `out_axes`, or twice.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> layers = nnx.vmap(lambda key: nnx.Linear(3, 3, rngs=nnx.Rngs(key)))(keys)
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
        if _runs_at_once(in_axes, args):
            return once(_scan, (f,), options, args)
        return _scan((f,), options, *args)

    return wrapped


def _runs_at_once(in_axes: Any, args: tuple) -> bool:
    # Here and not in `wrapped`, which cloudpickle takes with all that it names.
    return current_trace() == ROOT and not _has_constants(in_axes, args)


def _scan(functions: tuple, options: tuple, *args: Any) -> Any:
    try:
        return _loop(functions[0], options, args)
    except CarryEdited:
        try:
            return _first_apart(functions[0], options, args)
        except CarryEdited as error:
            raise StructureError(error.what, remedy=error.remedy) from None


def _loop(f: Any, options: tuple, args: tuple, once: bool = False) -> Any:
    try:
        return _loop_with(f, options, args, once, None)
    except SharedIsWritten as written:
        return _loop_with(f, options, args, once, written)


def _loop_with(f: Any, options: tuple, args: tuple, once: bool, written: Any) -> Any:
    in_axes, out_axes, length, reverse, unroll, split_transpose, names = options
    loop = Scanned(f, args, in_axes, out_axes, dict(names), once, written)
    axis_length("scan", loop.body.flat, loop.given, length, "length")
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


def _first_apart(f: Any, options: tuple, args: tuple) -> Any:
    """A loop whose first step edits configuration of the carry, such as a mode.

    Each step is to run with what the one before left. So the first one is done by
    itself, and the others find it done.

    Raises:
        StructureError: a later step edits it again; or objects, of which the first
            step would take a part, are looped over or given out.
    """
    in_axes, out_axes, length, reverse, *rest = options
    axes = tuple(in_axes) if isinstance(in_axes, tuple | list) else (in_axes,)
    pairs = list(zip(axes, args, strict=True))
    rows = [(x, jax.tree.leaves(a, is_leaf=is_object)) for x, a in pairs if _is_row(x)]
    if any([is_object(leaf) for _, leaves in rows for leaf in leaves]):
        return _loop(f, options, args)
    sizes = [jnp.shape(leaf)[axis] for axis, leaves in rows for leaf in leaves]
    steps = sizes[0] if sizes else length
    if steps is None:
        return _loop(f, options, args)
    at, beyond = (
        ((steps - 1, steps), (0, steps - 1)) if reverse else ((0, 1), (1, steps))
    )
    first = _loop(
        f, (in_axes, out_axes, 1, reverse, *rest), _sliced(args, axes, at), once=True
    )
    if steps == 1:
        return first
    into, out = carry_path(in_axes, args), path_of_carry(out_axes)
    assert into is not None
    assert out is not None
    args = with_part(_sliced(args, axes, beyond), into, part_at(first, out, out_axes))
    others = _loop(f, (in_axes, out_axes, steps - 1, reverse, *rest), args)
    both = [others, first] if reverse else [first, others]
    return with_part(_joined(out_axes, *both), out, part_at(others, out, out_axes))


def _has_constants(in_axes: Any, args: tuple) -> bool:
    """Whether a number is shared by all steps, which may use its value."""
    axes = in_axes if isinstance(in_axes, tuple | list) else (in_axes,) * len(args)
    return any(
        isinstance(leaf, NUMBERS)
        for axis, arg in zip(axes, args, strict=False)
        if axis is not Carry and not isinstance(axis, int)
        for leaf in jax.tree.leaves(arg, is_leaf=is_object)
    )


def _is_row(axis: Any) -> bool:
    return isinstance(axis, int) and not isinstance(axis, bool)


def _sliced(args: tuple, axes: tuple, part: tuple[int, int]) -> tuple:
    """Some steps of what is looped over."""

    def of(axis: int, value: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.lax.slice_in_dim(x, *part, axis=axis % jnp.ndim(x)), value
        )

    pairs = zip(axes, args, strict=True)
    return tuple([of(x, a) if _is_row(x) else a for x, a in pairs])


def _joined(axes: Any, first: Any, others: Any) -> Any:
    """What two loops gave out, one after the other."""
    if isinstance(axes, tuple | list):
        return tuple(map(_joined, axes, first, others))
    if axes is Carry or axes is None:
        return others
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axes), first, others)


def _count_carries(axes: Any) -> int:
    if isinstance(axes, tuple | list):
        return sum(map(_count_carries, axes))
    return int(axes is Carry)
