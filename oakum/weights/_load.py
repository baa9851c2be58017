"""load and plan: tensors of a file into a model, one at a time."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable
from itertools import starmap
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .. import _guard as guard
from .._arguments import with_arguments_of
from .._objects import Variable
from ..errors import TraceContextError
from ._beside import keep_beside
from ._places import Slot
from ._plan import Plan, check_fits, make_plan
from ._report import Line, Report
from ._rules import Rules
from ._steps import apply, convert, convert_into, moves_alone
from .doubts._suspicions import suspect
from .files._source import Source, open_source

_ALIGNED = 64  # bytes

_set_raw = Variable._raw.__set__  # type: ignore[attr-defined]


class Choices(TypedDict, total=False):
    """What `load` and `plan` take by name, as `load` documents it."""

    dtype: Any
    only: Any
    skip: Any
    ignore: str | Iterable[str]


def load(
    model: Any,
    source: Any,
    rules: Any = None,
    *,
    dtype: Any = None,
    only: Any = ...,
    skip: Any = None,
    ignore: str | Iterable[str] = (),
) -> Report:
    """Loads the weights of a PyTorch program into a model, in place.

    Either all that the model wants is there and fits, or nothing is changed. Names and
    shapes are compared first; then each tensor goes from the file, which is mapped into
    memory, to where its array lies or is to lie, and is transposed on the way. So a
    large model is best built abstract, where the weights are the only arrays:

        model = nnx.abstract(Llama, config, rngs=nnx.Rngs(0))
        report = nnx.weights.load(model, 'folder')

    Args:
        model: a module, or an abstract one, with shapes in place of arrays.
        source: a folder with `model.safetensors` or its index, a file, or a dict of
            arrays by name.
        rules: names of the file and paths of the model: a dict or `Rules`; None takes
            those that its class has as the attribute `weights`, or no rules.
        dtype: what floating-point tensors become; `'model'`: what the model's arrays
            are. None leaves all as they are in the file.
        only, skip: filters: what to load, and what to leave as it is.
        ignore: names of tensors that may be left over; `*` stands for any text.

    Returns:
        What was done, and what looks wrong though it fits.

    Raises:
        CheckpointError: tensors are missing, misshapen or left over, with a line for
            each; or a file is damaged, or holds a pickle.
        TraceContextError: a transform is tracing.

    Example:
        >>> import oakum as nnx, numpy as np
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> tensors = {
        ...     'fc.weight': np.ones((3, 2), 'f'),
        ...     'fc.bias': np.ones(3, 'f'),
        ... }
        >>> report = nnx.weights.load(model, tensors, {'fc': ''})
        >>> print(report.mapped[1])
        fc.weight -> kernel: [3, 2], transposed
    """
    _check_no_trace()
    found = open_source(source)
    choices: Choices = {"dtype": dtype, "only": only, "skip": skip, "ignore": ignore}
    plan = _planned(model, found, rules, **choices)
    check_fits(plan.report)
    put_values(read_values(plan, found))
    keep_beside(plan.slots, found)
    for leaf in plan.others:
        if isinstance(leaf.value, jax.ShapeDtypeStruct) and not leaf.index:
            path = ".".join(map(str, leaf.path))
            plan.report.left.append(Line("", path, type(leaf.variable).__name__))
    return plan.report


@with_arguments_of(load)
def plan(
    model: Any, source: Any, rules: Any = None, **choices: Unpack[Choices]
) -> Report:
    """Says what `load` would do, and changes nothing.

    Args:
        model, source, rules, dtype, only, skip, ignore: as for `load`.

    Returns:
        The report, with all that does not fit.

    Raises:
        CheckpointError: a file is damaged, or holds a pickle.

    Example:
        >>> import oakum as nnx, numpy as np
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> report = nnx.weights.plan(model, {'weight': np.ones((2, 3), 'f')})
        >>> report.fits, len(report.missing), len(report.misshapen)
        (False, 1, 1)
    """
    found = open_source(source)
    return _planned(model, found, rules, **choices).report


def _planned(
    model: Any, source: Source, rules: Any, **choices: Unpack[Choices]
) -> Plan:
    plan = make_plan(model, source, Rules.of(rules, model), **choices)
    suspect(model, source, plan)
    return plan


def _check_no_trace() -> None:
    if guard.current_trace() != guard.ROOT:
        raise TraceContextError(
            "nnx.weights.load was called while a transform is tracing",
            where=guard.describe(guard.here()),
            remedy="load before the transformed function is called.",
        )


def put_values(values: list[tuple[Variable, Any]]) -> None:
    """Gives Variables new values: all of them, or on an error none."""
    calls = [(_set_raw, guard.writable(box), value) for box, value in values]
    # One loop in C, which Ctrl-C does not interrupt.
    deque(starmap(operator.call, calls), 0)


def read_values(plan: Plan, source: Source) -> list[tuple[Variable, Any]]:
    """New values for the Variables, made one tensor after the other."""
    groups: dict[int, list[tuple[Slot, np.dtype]]] = {}
    for slot, dtype in zip(plan.slots, plan.dtypes, strict=True):
        groups.setdefault(id(slot.leaf.variable), []).append((slot, dtype))
    ordered = sorted(groups.values(), key=lambda g: source.place(g[0][0].refs[0].name))
    reader = _Reader(source)
    return [(group[0][0].leaf.variable, reader.value(group)) for group in ordered]


class _Reader:
    """Makes arrays of tensors, one after the other.

    JAX takes an array of NumPy as it lies where it lies at a multiple of 64 bytes, as
    one in eight files has it; of others it makes a copy. The copy is made here, in
    memory that is used again: page faults would take as long as all the rest.
    """

    def __init__(self, source: Source):
        self.source = source
        self.buffer = np.empty(0, np.uint8)

    def value(self, group: list[tuple[Slot, np.dtype]]) -> jax.Array:
        """The array of one Variable, from a tensor or from those of its stack."""
        slot, dtype = group[0]
        old, place = slot.leaf.value, self.source.place
        if not slot.index:
            made = self._moved(slot, dtype)
            if made is None:
                arrays, parts = self._arrays(slot)
                made = convert(arrays, parts, slot.steps, dtype)
            # JAX would go ahead, and hold the tensors of all that wait.
            return placed(made.block_until_ready(), old)
        stack = _zeros(old.shape, dtype, old)
        for slot, _ in sorted(group, key=lambda pair: place(pair[0].refs[0].name)):
            arrays, parts = self._arrays(slot)
            index, axes = jnp.asarray(slot.index, jnp.int32), len(slot.index)
            stack = convert_into(stack, arrays, parts, slot.steps, axes, index)
            stack.block_until_ready()
        return placed(stack, old)

    def _moved(self, slot: Slot, dtype: np.dtype) -> jax.Array | None:
        """The array of a tensor whose axes are in another order, if that is all.

        JAX reads it in blocks as it copies it, in 0.6 of the time that a program of
        XLA's for the CPU takes, where the old order is that of a transposed view.
        """
        ref = slot.refs[0]
        array = self.source.view(ref.name)
        if (
            len(slot.refs) > 1
            or not isinstance(array, np.ndarray)
            or array.dtype != dtype
            or not (ref.part is None or ref.part.is_block)
            or not moves_alone(slot.steps)
            or jax.default_backend() != "cpu"
        ):
            return None
        view = apply(slot.steps, array if ref.part is None else ref.part.take(array))
        # One in order would be taken as it lies, as part of the file.
        return None if view.flags.c_contiguous else jax.device_put(view)

    def _arrays(self, slot: Slot) -> tuple[list[Any], tuple]:
        """The tensors of a slot, cut to what it takes where that costs nothing."""
        arrays, parts = [], []
        for ref in slot.refs:
            array, part = self.source.view(ref.name), ref.part
            if part is not None and part.is_block:
                array, part = part.take(array), None
            arrays.append(_beside(array, slot.leaf.value))
            parts.append(part)
        return self._aligned(arrays), tuple(parts)

    def _aligned(self, arrays: list[Any]) -> list[Any]:
        """The arrays where JAX takes them as they lie."""
        if len(arrays) > 1 or not isinstance(arrays[0], np.ndarray):
            return arrays
        (array,) = arrays
        if array.ctypes.data % _ALIGNED == 0 or not array.flags.c_contiguous:
            return arrays
        if self.buffer.size < array.nbytes + _ALIGNED:
            self.buffer = np.empty(array.nbytes + _ALIGNED, np.uint8)
        start = -self.buffer.ctypes.data % _ALIGNED
        room = self.buffer[start : start + array.nbytes].view(array.dtype)
        np.copyto(room, array.reshape(-1))
        return [room.reshape(array.shape)]


def _beside(array: Any, old: Any) -> Any:
    """An array of JAX on the devices of the one that it is for; others go anywhere."""
    sharding = target_sharding(old)
    if not isinstance(array, jax.Array) or sharding is None:
        return array
    if array.sharding.device_set == sharding.device_set or not array.committed:
        return array
    if hasattr(sharding, "mesh"):
        sharding = NamedSharding(sharding.mesh, PartitionSpec())
    return jax.device_put(array, sharding)


def target_sharding(old: Any) -> Any:
    """Where a new array is to lie; None leaves it to JAX, uncommitted."""
    sharding = getattr(old, "sharding", None)
    committed = isinstance(old, jax.ShapeDtypeStruct) or getattr(old, "committed", True)
    return sharding if committed else None


def placed(array: jax.Array, old: Any) -> jax.Array:
    """An array where the one that it replaces lies, or is to lie."""
    sharding = target_sharding(old)
    if sharding is None or array.sharding == sharding:
        return array
    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda at: whole[at])


def _zeros(shape: tuple[int, ...], dtype: Any, old: Any) -> jax.Array:
    """A stack to be filled, spread as the array that it is for."""
    sharding = target_sharding(old)
    if sharding is None:
        return jnp.zeros(shape, dtype)
    if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh):
        # An axis that is part of the array's type would have to be one of each layer's.
        mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
        sharding = NamedSharding(mesh, sharding.spec)
    return jax.jit(lambda: jnp.zeros(shape, dtype), out_shardings=sharding)()
