"""scan: a loop over an axis of the arguments, with a carry."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._compiled._once import once
from .._engine._axis_metadata import AxisNames
from .._engine._lift import Body, Flat, same_type
from .._engine._prefix import Axes, Carry
from .._engine._signature import by_position
from .._engine._traceback import trimmed
from .._guard import ROOT, current_trace
from .._objects import NUMBERS, PARTITION_NAME, is_array, is_object
from ..errors import ArgumentError

_MISSING: Any = object()


def scan(
    f: Any = _MISSING,
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
            None for what all share, or a `StateAxes` of these.
        out_axes: likewise for what `f` returns; `Carry` where the new carry stands.
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
    if f is _MISSING:
        return functools.partial(
            scan,
            length=length,
            reverse=reverse,
            unroll=unroll,
            _split_transpose=_split_transpose,
            in_axes=in_axes,
            out_axes=out_axes,
            transform_metadata=transform_metadata,
        )
    counts = _count_carries(in_axes), _count_carries(out_axes)
    if counts not in ((0, 0), (1, 1)):
        raise ArgumentError(
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
    given = Axes()
    flat = given.of_arguments(in_axes, args)
    loop = _Loop(functions[0], flat, given, out_axes, dict(names))
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


class _Loop:
    """One call of a scanned function.

    The carry is the values of the carried Variables, and the carried arrays; the inputs
    of a step are the same of what has an axis.
    """

    def __init__(self, f: Any, flat: Flat, given: Axes, out_axes: Any, metadata: dict):
        self.given = given
        self.returned = Axes()

        returned = self.returned  # not `self`, which would make a cycle

        def call(*args: Any) -> Any:
            returned.clear()
            return returned.of_result(out_axes, f(*args))

        if PARTITION_NAME in metadata:
            call = AxisNames("scan", metadata).wrap(call, flat, given, returned)
        self.body = Body("scan", call, flat)
        self.values, self.leaves = flat.values()
        self.axes = [given.by_variable[id(v)] for v in flat.variables]
        numbers = range(len(self.axes))
        self.carried = [i for i in numbers if self.axes[i] is Carry]
        self.sliced = [i for i in numbers if isinstance(self.axes[i], int)]
        self.outputs: list[tuple[int, Any]] = []  # what the last step gave

    def first_carry(self) -> tuple[list, list]:
        """The carry before the first step."""
        variables = [_as_array(self.values[i]) for i in self.carried]
        pairs = zip(self.given.arrays, self.given.array_axes, strict=True)
        return variables, [_as_array(a) for a, axis in pairs if axis is Carry]

    def inputs(self) -> tuple[list, list]:
        """What is looped over, with its axis first."""
        variables = [_move(self.values[i], self.axes[i], 0) for i in self.sliced]
        pairs = zip(self.given.arrays, self.given.array_axes, strict=True)
        return variables, [
            _move(a, axis, 0) for a, axis in pairs if isinstance(axis, int)
        ]

    def step(self, carry: tuple[list, list], inputs: tuple[list, list]) -> Any:
        """One step of `jax.lax.scan`."""
        variables = list(self.values)
        for number, value in zip(self.carried, carry[0], strict=True):
            variables[number] = value
        for number, value in zip(self.sliced, inputs[0], strict=True):
            variables[number] = value
        carried, sliced = iter(carry[1]), iter(inputs[1])
        arrays = [
            next(carried) if axis is Carry else array if axis is None else next(sliced)
            for array, axis in zip(
                self.given.arrays, self.given.array_axes, strict=True
            )
        ]
        values = self.body.run((variables, self.leaves, arrays))
        self.outputs = self._outputs()
        new_carry, outputs = dict(zip(self.carried, carry[0], strict=True)), []
        for (number, axis), value in zip(self.outputs, values, strict=True):
            if axis is None:
                raise self._shared(number)
            if axis is Carry:
                new_carry[number] = self._same_type(value, new_carry[number], number)
            else:
                outputs.append(value)
        returned = self.returned
        pairs = list(zip(returned.release(), returned.array_axes, strict=True))
        new_arrays = [array for array, axis in pairs if axis is Carry]
        if len(new_arrays) != len(carry[1]):
            raise ArgumentError(
                f"scan: {len(carry[1])} arrays are carried in, {len(new_arrays)} out",
                remedy="return the new carry where out_axes says Carry.",
            )
        new_arrays = [
            self._same_type(new, old)
            for new, old in zip(new_arrays, carry[1], strict=True)
        ]
        stacked = [array for array, axis in pairs if axis is not Carry]
        return (list(new_carry.values()), new_arrays), (outputs, stacked)

    def finish(self, carry: tuple[list, list], ys: tuple[list, list]) -> Any:
        """Writes the state back; returns what the scanned function returns."""
        stacked, last = iter(ys[0]), dict(zip(self.carried, carry[0], strict=True))
        values = [
            last[number] if axis is Carry else _move(next(stacked), 0, axis)
            for number, axis in self.outputs
        ]
        carried, stacked = iter(carry[1]), iter(ys[1])
        arrays = [
            next(carried) if axis is Carry else _move(next(stacked), 0, axis)
            for axis in self.returned.array_axes
        ]
        return self.body.commit(values, arrays)

    def _outputs(self) -> list[tuple[int, Any]]:
        """Number and axis of each output value, in the Outcome's order."""
        outcome, originals = self.body.outcome, self.body.flat.objects
        numbers = {id(v): i for i, v in enumerate(self.body.flat.variables)}
        if outcome.n_leaves:
            raise ArgumentError(
                "scan: a bare array of an object was set, or is returned in one",
                remedy="hold it in an nnx.Variable.",
            )
        found = []
        for i in outcome.written:
            number = numbers[id(originals[i])]
            found.append((number, self.axes[number]))
        for i in outcome.emitted:
            if i >= outcome.n_known:
                axis = self.returned.by_variable.get(self.body.object_ids[i], 0)
                if axis is Carry:
                    raise ArgumentError(
                        "scan: the body gives a carried object a new Variable",
                        remedy="make it before the scan: a carry keeps its structure.",
                    )
                found.append((-1, axis))
        return found

    def _path(self, number: int) -> str:
        return self.given.path(self.body.flat.variables[number])

    def _shared(self, number: int) -> ArgumentError:
        return ArgumentError(
            f"scan: {self._path(number)} is shared by all steps (axis None), and was "
            "written",
            remedy="carry it, or give it an axis: nnx.StateAxes({type: nnx.Carry}).",
        )

    def _same_type(self, new: Any, old: Any, number: int | None = None) -> Any:
        """The new carry, checked against the old one."""
        if is_array(new) and is_array(old) and same_type(new, old):
            return new
        name = "the carry" if number is None else self._path(number)
        if jax.tree.structure(new) != jax.tree.structure(old):
            raise ArgumentError(
                f"scan: {name} changes its structure from {jax.tree.structure(old)} to "
                f"{jax.tree.structure(new)}",
                remedy="return a carry of the form that came in.",
            )
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
            if not same_type(a, b):
                raise ArgumentError(
                    f"scan: {name} changes from {b.dtype}{list(jnp.shape(b))} to "
                    f"{jnp.result_type(a)}{list(jnp.shape(a))} in one step",
                    remedy="keep shape and dtype, for example x.astype(carry.dtype).",
                )
        return new


def _as_array(value: Any) -> Any:
    return value if is_array(value) else jax.tree.map(jnp.asarray, value)


def _move(value: Any, source: int, target: int) -> Any:
    if source == target:  # `jnp.moveaxis` of nothing costs as much as of something
        return value
    return jax.tree.map(lambda x: jnp.moveaxis(x, source, target), value)
