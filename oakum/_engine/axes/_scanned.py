"""A scanned function: what each step gets, hands on and gives out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._graph import LEAF, leaf_tokens
from ..._objects import PARTITION_NAME, RngState, is_array
from ...errors import ArgumentError, ArgumentValueError
from .._carry import CarryForm, Handed, checked_type
from .._lift import Body
from .._values import Values
from ._axes import Axes
from ._axis_metadata import AxisNames
from ._mapped import kinds_of_new
from ._prefix import Carry

# In place of an axis: the value that the arguments have; one that is the same after
# each step, such as the count of a stream, of which all steps draw the same keys.
_KEPT, _ALIKE = object(), object()


class SharedIsWritten(Exception):
    """A step writes to what all steps share, which is to be carried then.

    Args:
        variables, bare: the numbers of these, of all that are.
    """

    def __init__(self, variables: frozenset[int], bare: frozenset[int]):
        super().__init__()
        self.variables, self.bare = variables, bare


class _Output(NamedTuple):
    """Where an output value comes from: the last carry, the stack, or the arguments.

    Attributes:
        axis: the axis along which it is stacked, `Carry`, `_KEPT`, or `_ALIKE`.
        number: which Variable it is, or which bare array.
        is_bare: which of these.
    """

    axis: Any
    number: int
    is_bare: bool = False


class Scanned:
    """One call of a scanned function.

    The carry is the values of the carried Variables and bare arrays, and the carried
    arrays; the inputs of a step are the same of what has an axis.

    Args:
        f: the user's function.
        args: its arguments.
        in_axes, out_axes: as for `scan`.
        metadata: its `transform_metadata`.
        once: whether there is one step, which may edit configuration of the carry.
        written: what has no axis, but is written.
    """

    def __init__(
        self,
        f: Any,
        args: tuple,
        in_axes: Any,
        out_axes: Any,
        metadata: Mapping[str, Any],
        once: bool = False,
        written: SharedIsWritten | None = None,
    ):
        self.given, self.returned = Axes(), Axes()
        self.form: CarryForm | None = None
        self.handed: list[Handed] = []
        self.entered: list[Any] = []  # the values of the carried Variables, in a step
        self.carry_out = path_of_carry(out_axes)
        path = carry_path(in_axes, args)
        if path is not None:
            self.form = CarryForm("scan", part_at(args, path, in_axes), once)
            # Its parts in the order of JAX, which is that of what a step returns.
            args = with_part(args, path, self.form.as_parts())
        flat = self.given.of_arguments(in_axes, args)
        call = self._call(f, path, out_axes)
        if PARTITION_NAME in metadata:
            names = AxisNames("scan", metadata)
            call = names.wrap(call, flat, self.given, self.returned)
        self.body = Body("scan", call, flat)
        self.values = flat.values(self.given.arrays)
        self.axes = [self.given.by_variable[id(v)] for v in flat.variables]
        self.bare_axes = self.given.of_bare(flat.token, self.values.bare)
        if written is not None:
            self.axes = _carrying(self.axes, written.variables)
            self.bare_axes = _carrying(self.bare_axes, written.bare)
        bare = [path for path, one in leaf_tokens(flat.token) if one[0] == LEAF]
        self.places = {path: number for number, path in enumerate(bare)}
        self.carried, self.sliced = _by_axis(self.axes)
        self.bare_carried, self.bare_sliced = _by_axis(self.bare_axes)
        numbers = {id(v): n for n, v in enumerate(flat.variables)}
        self.own: list[int] = []  # the number of each Variable of the carry
        self.own_bare: list[int] = []
        if self.form is not None:
            own = self.form.flat
            self.own = [numbers[id(v)] for v in own.variables]
            self.own_bare = self._own_bare(path)
        self.outputs: list[_Output] = []  # what the last step gave

    def _own_bare(self, path: Any) -> list[int]:
        """The number of each bare array of the carry."""
        assert self.form is not None
        found = []
        for (first, *below), one in leaf_tokens(self.form.flat.token):
            if one[0] == LEAF:
                at = (0, *path, *([] if self.form.is_single else [first]), *below)
                found.append(self.places[at])
        return found

    def _call(self, f: Any, carry_in: Any, out_axes: Any) -> Any:
        """The function without its carry, which goes apart."""
        # Not by `self`, which would make a cycle.
        form, handed, entered = self.form, self.handed, self.entered
        returned, given = self.returned, self.given
        carry_out = self.carry_out

        def call(*args: Any) -> Any:
            returned.clear()
            if form is None or carry_out is None:
                result = f(*args)
            else:
                args = with_part(
                    args, carry_in, form.from_parts(part_at(args, carry_in, None))
                )
                result = f(*args)
                own = part_at(result, carry_out, out_axes)
                handed.append(form.read(entered, own))
                result = with_part(result, carry_out, None)
            taken = returned.of_result(out_axes, result)
            returned.check_same_as(given)
            return taken

        return call

    # -- what goes in

    def first_carry(self) -> Values:
        """The carry before the first step."""
        return Values(
            [_as_array(self.values.variables[i]) for i in self.carried],
            [_as_array(self.values.bare[i]) for i in self.bare_carried],
            [_as_array(array) for array in self.form.arrays] if self.form else [],
        )

    def inputs(self) -> Values:
        """What is looped over, with its axis first."""
        variables, bare, arrays = self.values
        pairs = zip(arrays, self.given.array_axes, strict=True)
        return Values(
            [_move(variables[i], self.axes[i], 0) for i in self.sliced],
            [_move(bare[i], self.bare_axes[i], 0) for i in self.bare_sliced],
            [_move(a, axis, 0) for a, axis in pairs if isinstance(axis, int)],
        )

    def step(self, carry: Values, inputs: Values) -> Any:
        """One step of `jax.lax.scan`."""
        variables = _mixed(
            self.values.variables,
            (self.carried, carry.variables),
            (self.sliced, inputs.variables),
        )
        bare = _mixed(
            self.values.bare,
            (self.bare_carried, carry.bare),
            (self.bare_sliced, inputs.bare),
        )
        carried, sliced = iter(carry.arrays), iter(inputs.arrays)
        arrays = [
            jax.tree.map(lambda _: next(carried), array)
            if axis is Carry
            else array
            if axis is None
            else next(sliced)
            for array, axis in zip(
                self.values.arrays, self.given.array_axes, strict=True
            )
        ]
        self.entered[:] = [variables[n] for n in self.own]
        values = self.body.run(Values(variables, bare, arrays))
        handed = self.handed.pop() if self.form else Handed([], None, [], frozenset())
        self.made, self.objects = handed.made, handed.objects
        self.outputs = self._outputs(values, bare)
        next_carry, stacked = self._sorted(values, carry, handed)
        self.objects = None  # no tracer is kept beyond the step
        self.entered.clear()
        pairs = zip(self.returned.release(), self.returned.array_axes, strict=True)
        more = [array for array, axis in pairs if axis is not Carry]
        return next_carry, (stacked, more)

    # -- what comes out

    def _outputs(self, values: list[Any], given: list[Any]) -> list[_Output]:
        """Where each output value comes from, in the Outcome's order.

        Args:
            values: the outputs.
            given: the bare arrays that the step got.
        """
        outcome, originals = self.body.outcome, self.body.flat.objects
        numbers = {id(v): i for i, v in enumerate(self.body.flat.variables)}
        found = []
        for i in outcome.written:
            number = numbers[id(originals[i])]
            axis = self.axes[number]
            if axis is None and isinstance(originals[i], RngState):
                axis = _ALIKE
            found.append(_Output(axis, number))
        found += self._new_variables()
        bare = values[len(values) - outcome.n_leaves :]
        found += self._bare(bare, given)
        shared = [output for output in found if output.axis is None]
        if shared:
            variables = frozenset([o.number for o in shared if not o.is_bare])
            bare_arrays = frozenset([o.number for o in shared if o.is_bare])
            raise SharedIsWritten(variables, bare_arrays)
        return found

    def _new_variables(self) -> list[_Output]:
        outcome = self.body.outcome
        made = [i for i in outcome.emitted if i >= outcome.n_known]
        kinds = kinds_of_new(self.body, self.given, self.returned, 0)
        own = {id(obj): i for i, obj in enumerate(self.objects or ())}
        found = []
        for index, axis in zip(made, kinds, strict=True):
            number = -1
            if axis is None:
                made_in = self.given.of_new(outcome.roots, outcome.n_known)
                name = made_in[index].name
                raise ArgumentError(
                    f"scan: {name}, which is new, would be shared by all steps "
                    "(axis None)",
                    remedy="make it before the scan, or give it an axis: "
                    "nnx.StateAxes({type: nnx.Carry}).",
                )
            if axis is Carry:
                place = own.get(self.body.object_ids[index])
                if place is None or self.form is None:
                    raise ArgumentError(
                        "scan: the body gives a carried object a new Variable",
                        remedy="make it before the scan: a carry keeps its structure.",
                    )
                number = self.own[self.form.flat.numbers.index(place)]
            found.append(_Output(axis, number))
        return found

    def _bare(self, bare: list[Any], given: list[Any]) -> list[_Output]:
        outcome = self.body.outcome
        found: list[_Output] = []
        if not bare:
            return found
        paths: list[Any] = []
        if outcome.roots is not None:
            paths = [p for p, one in leaf_tokens(outcome.roots) if one[0] == LEAF]
        values = bare[: len(paths)]
        axes = self.given.of_bare(outcome.roots, values)
        for path, axis, value in zip(paths, axes, values, strict=True):
            number = self.places.get(path, -1)
            if number >= 0:
                axis = _KEPT if value is given[number] else self.bare_axes[number]
            elif axis is Carry or axis is None:
                raise ArgumentError(
                    "scan: the body gives a carried object a new bare array",
                    remedy="set it before the scan: a carry keeps its structure.",
                )
            found.append(_Output(axis, number, True))
        axes = self.returned.of_bare(outcome.result, bare[len(paths) :])
        return found + [_Output(axis, -1, True) for axis in axes]

    def _sorted(self, values: list[Any], carry: Values, handed: Handed) -> tuple:
        """The next carry, and the values that are stacked."""
        variables = dict(zip(self.carried, carry.variables, strict=True))
        bare = dict(zip(self.bare_carried, carry.bare, strict=True))
        new, new_bare, stacked = dict(variables), dict(bare), []
        for (axis, number, is_bare), value in zip(self.outputs, values, strict=True):
            if axis is Carry:
                (new_bare if is_bare else new)[number] = value
            elif axis is not _KEPT:
                stacked.append(value)
        new.update(zip(self.own, handed.variables, strict=True))
        if handed.bare is not None:
            new_bare.update(zip(self.own_bare, handed.bare, strict=True))
        self.filled = {n for n, value in new_bare.items() if value is not bare[n]}
        return Values(
            [_checked(new[n], variables[n], lambda n=n: self._path(n)) for n in new],
            [_checked(new_bare[n], bare[n], lambda: "a bare array") for n in bare],
            [
                _checked(a, b, lambda: "the carry")
                for a, b in zip(handed.arrays, carry.arrays, strict=True)
            ],
        ), stacked

    def finish(self, carry: Values, ys: tuple) -> Any:
        """Writes the state back; returns what the scanned function returns."""
        last = dict(zip(self.carried, carry.variables, strict=True))
        last_bare = dict(zip(self.bare_carried, carry.bare, strict=True))
        values = self._last_values(last, last_bare, iter(ys[0]))
        stacked = iter(ys[1])
        arrays = [
            None if axis is Carry else _move(next(stacked), 0, axis)
            for axis in self.returned.array_axes
        ]
        result = self.body.commit(values, arrays)
        if self.form is None or self.carry_out is None:
            return result
        bare = [
            last_bare[n] if n in self.filled else self.values.bare[n]
            for n in self.own_bare
        ]
        carried = Values([last[n] for n in self.own], bare, carry.arrays)
        own, _ = self.form.rebuild(carried, self.made)
        return with_part(result, self.carry_out, own)

    def _last_values(
        self, last: dict[int, Any], last_bare: dict[int, Any], stacked: Iterator[Any]
    ) -> list[Any]:
        """What is written back, in the order of the outputs."""
        values = []
        for axis, number, is_bare in self.outputs:
            if axis is _KEPT:
                values.append(self.values.bare[number])
            elif axis is _ALIKE:
                same = next(stacked)
                values.append(same[-1] if len(same) else self.values.variables[number])
            elif axis is Carry:
                values.append((last_bare if is_bare else last)[number])
            else:
                values.append(_move(next(stacked), 0, axis))
        return values

    def _path(self, number: int) -> str:
        return self.given.path(self.body.flat.variables[number])


def path_of_carry(axes: Any) -> tuple[int, ...] | None:
    """Where `Carry` stands; None where it does not."""
    if axes is Carry:
        return ()
    if isinstance(axes, tuple | list):
        for i, below in enumerate(axes):
            path = path_of_carry(below)
            if path is not None:
                return (i, *path)
    return None


def carry_path(axes: Any, args: tuple) -> tuple[int, ...] | None:
    """Where the carry stands among the arguments."""
    if axes is not Carry:
        return path_of_carry(axes)
    if len(args) != 1:
        raise ArgumentValueError(
            f"scan: in_axes=Carry, but the function takes {len(args)} arguments",
            remedy="in_axes=(nnx.Carry, 0): one axis for each.",
        )
    return (0,)


def part_at(value: Any, path: tuple[int, ...], axes: Any) -> Any:
    """The part of a value where `Carry` stands in its axes."""
    for i in path:
        if not isinstance(value, tuple | list):
            name = "one array" if is_array(value) else f"a {type(value).__name__}"
            raise ArgumentError(
                f"scan: the result is {name}, but its axes are {axes!r}",
                remedy="give one axis, or the value the form of the axes.",
            )
        if i >= len(value):
            raise ArgumentValueError(
                f"scan: there are {len(value)} values, but their axes are {axes!r}",
                remedy="give one axis for each, or one for all.",
            )
        value = value[i]
    return value


def with_part(value: Any, path: tuple[int, ...], part: Any) -> Any:
    """The value with another part there."""
    if not path:
        return part
    items = list(value)
    items[path[0]] = with_part(items[path[0]], path[1:], part)
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _by_axis(axes: list[Any]) -> tuple[list[int], list[int]]:
    """The numbers of what is carried, and of what has an axis."""
    pairs = list(enumerate(axes))
    return (
        [i for i, axis in pairs if axis is Carry],
        [i for i, axis in pairs if isinstance(axis, int)],
    )


def _carrying(axes: list[Any], numbers: frozenset[int]) -> list[Any]:
    """The axes, with some of them carried."""
    return [Carry if n in numbers else axis for n, axis in enumerate(axes)]


def _mixed(values: list[Any], *parts: tuple[list[int], list[Any]]) -> list[Any]:
    mixed = list(values)
    for numbers, new in parts:
        for number, value in zip(numbers, new, strict=True):
            mixed[number] = value
    return mixed


def _checked(new: Any, old: Any, name: Any) -> Any:
    return new if new is old else checked_type("scan", new, old, name())


def _as_array(value: Any) -> Any:
    return value if is_array(value) else jax.tree.map(jnp.asarray, value)


def _move(value: Any, source: int, target: int) -> Any:
    if source == target:  # `jnp.moveaxis` of nothing costs as much as of something
        return value
    return jax.tree.map(lambda x: jnp.moveaxis(x, source, target), value)
