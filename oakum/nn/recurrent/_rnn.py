"""RNN: a recurrent cell along a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ..._graph import iter_graph
from ..._objects import Module, Param, RngState, module_path
from ..._rngs import Rngs, RngStream
from ..._rngs._verbs import split_rngs
from ..._state import All, to_predicate
from ...errors import ArgumentError, ShapeError
from ...sharding import lying_as, mesh_of
from ...transforms import Carry, StateAxes, scan
from .._params import check_kind
from ._cells import DenseCell, RNNCellBase, draws_carry, widened


def flip_sequences(
    inputs: jax.Array,
    seq_lengths: jax.Array | None,
    num_batch_dims: int,
    time_major: bool,
) -> jax.Array:
    """Turns sequences round, and leaves the padding after them where it is.

    Args:
        inputs: `(*batch, time, ...)`, or `(time, *batch, ...)` if time-major.
        seq_lengths: `(*batch)` of an integer dtype; None takes all to be full.
        num_batch_dims: number of batch axes.
        time_major: whether the time axis comes first.

    Returns:
        An array of the shape of `inputs`.

    Example:
        >>> import jax.numpy as jnp
        >>> from oakum.nn.recurrent._rnn import flip_sequences
        >>> x = jnp.array([[1, 2, 3], [4, 5, 0]])
        >>> flip_sequences(x, jnp.array([3, 2]), 1, False)
        Array([[3, 2, 1], [5, 4, 0]], dtype=int32)
    """
    axis = 0 if time_major else num_batch_dims
    if seq_lengths is None:
        return jnp.flip(inputs, axis)
    steps = inputs.shape[axis]
    lengths = jnp.expand_dims(seq_lengths, axis)
    shape = [1] * (num_batch_dims + 1)
    shape[axis] = steps
    backwards = jnp.arange(steps - 1, -1, -1, lengths.dtype).reshape(shape)
    # Modulo the number of steps, the padding comes last again.
    index = (backwards + lengths) % steps
    index = index.reshape(*index.shape, *(1,) * (inputs.ndim - index.ndim))
    return jnp.take_along_axis(inputs, index, axis)


def last_carry(carries: Any, seq_lengths: jax.Array) -> Any:
    """The carry after the last step of each sequence.

    Args:
        carries: arrays `(time, *batch, ...)`.
        seq_lengths: `(*batch)`.
    """

    def select(x: jax.Array) -> jax.Array:
        index = (seq_lengths - 1)[None]
        index = index.reshape(*index.shape, *(1,) * (x.ndim - index.ndim))
        return jnp.take_along_axis(x, index, 0)[0]

    return jax.tree.map(select, carries)


class RNN(Module):
    """Runs a cell along a sequence, and returns its outputs.

    Elman: Finding Structure in Time, https://doi.org/10.1207/s15516709cog1402_1, 1990.

    Attributes: `cell`; `rngs`, a random stream for the first carry, or None where the
    cell starts from zeros.

    Args:
        cell: the cell, an `RNNCellBase`.
        time_major: whether the time axis of inputs and outputs comes first, rather
            than after the batch axes.
        return_carry: whether to return the last carry too.
        reverse: whether to go from the end of the sequence to its start.
        keep_order: whether, with `reverse`, the outputs stay beside their inputs.
        unroll: how many steps to compile as one.
        state_axes: for each filter what a step does with the cell's state, as in
            `scan`. By default parameters are shared by all steps, and what else the
            cell holds is handed on; `{...: nnx.Carry}` is for a cell that writes
            parameters.
        broadcast_rngs: a filter for the random streams that draw the same in each step,
            and anew in each call, as for one dropout mask along the sequence.
        rngs: streams for the first carry. True makes one of seed 0 for a cell that may
            need it, False none.

    Raises:
        ArgumentError: `rngs` is of another kind.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rnn = nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), return_carry=True)
        >>> carry, out = rnn(jnp.ones((2, 5, 3)), seq_lengths=jnp.array([5, 2]))
        >>> carry.shape, out.shape, bool((carry[1] == out[1, 1]).all())
        ((2, 4), (2, 5, 4), True)
    """

    def __init__(
        self,
        cell: RNNCellBase,
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        unroll: int = 1,
        state_axes: Mapping[Any, Any] | StateAxes | None = None,
        broadcast_rngs: Any = None,
        rngs: Rngs | RngStream | bool = True,
    ):
        self.cell = cell
        self.time_major, self.return_carry = time_major, return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.unroll = unroll
        self.rngs = carry_stream(rngs, draws_carry(cell), "RNN")
        if not isinstance(state_axes, StateAxes):
            # Parameters are no carry: JAX would keep a copy of each for every step,
            # for their gradients.
            state_axes = StateAxes(state_axes or {Param: None, ...: Carry})
        self.state_axes = state_axes
        self.broadcast_rngs = broadcast_rngs

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: Any = None,
        seq_lengths: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: Rngs | RngStream | None = None,
    ) -> Any:
        """Runs the cell along the sequence.

        Args:
            inputs: `(*batch, time, *features)`, or `(time, *batch, *features)` if
                time-major.
            initial_carry: the carry of the first step; None lets the cell make it.
            seq_lengths: `(*batch)`, number of steps of each sequence; what comes after
                is padding. It matters to `reverse` and to the carry that is returned.
            return_carry: goes before that of the constructor, like the next three.
            time_major: see the constructor.
            reverse: see the constructor.
            keep_order: see the constructor.
            rngs: streams for the first carry; go before those of the constructor.

        Returns:
            The outputs, with the axes of the inputs; or a pair of the carry after the
            last step and the outputs.

        Raises:
            ShapeError: the input lacks an axis, or `seq_lengths` are not one for each
                sequence.
            ArgumentValueError: `seq_lengths` are no integers.
        """
        return_carry = self.return_carry if return_carry is None else return_carry
        time_major = self.time_major if time_major is None else time_major
        reverse = self.reverse if reverse is None else reverse
        keep_order = self.keep_order if keep_order is None else keep_order
        time_axis = _time_axis(self, inputs, time_major)
        batch = inputs.shape[: inputs.ndim - self.cell.num_feature_axes]
        batch = (*batch[:time_axis], *batch[time_axis + 1 :])
        if seq_lengths is not None:
            seq_lengths = _check_lengths(self, seq_lengths, batch)
        if reverse:
            inputs = flip_sequences(inputs, seq_lengths, len(batch), time_major)
        carry = initial_carry
        if carry is None:
            rngs = self.rngs if rngs is None else rngs
            carry = _first_carry(self, inputs, time_axis, len(batch), rngs)
        carry = _as_wide_as(self.cell, carry)
        lengths = seq_lengths if return_carry else None
        carry, outputs = _run(self, carry, inputs, time_axis, lengths)
        if reverse and keep_order:
            outputs = jax.tree.map(
                lambda x: flip_sequences(x, seq_lengths, len(batch), time_major),
                outputs,
            )
        return (carry, outputs) if return_carry else outputs


def _first_carry(
    rnn: RNN, inputs: jax.Array, time_axis: int, n_batch: int, rngs: Any
) -> Any:
    rngs = rngs["carry"].fork() if isinstance(rngs, Rngs) else rngs
    carry = rnn.cell.initialize_carry(_without(inputs.shape, time_axis), rngs)
    return _split_like(inputs, carry, time_axis, n_batch)


def _as_wide_as(cell: Any, carry: Any) -> Any:
    """A carry, widened to the dtype that a cell computes in."""
    dtype = cell.dtype if isinstance(cell, DenseCell) else None
    if dtype is None:
        return carry
    return jax.tree.map(lambda part: widened(part, jnp.zeros((), dtype)), carry)


def _run(
    rnn: RNN, carry: Any, inputs: jax.Array, axis: int, lengths: jax.Array | None
) -> tuple[Any, Any]:
    """The carry after the last step, of each sequence by its length if given."""
    only, axes = getattr(rnn, "broadcast_rngs", None), rnn.state_axes
    out_axes: Any = axis
    if lengths is not None:
        out_axes = (0, axis)
    if only is not None:
        pairs = zip(axes.filters, axes.axes, strict=True)
        axes = StateAxes([(All(RngState, only), Carry), *pairs])

    def step(cell: Any, carry: Any, x: jax.Array) -> tuple[Any, Any]:
        if only is not None:
            _rewind(cell, only)
        new, out = cell(carry, x)
        new = widened(new, carry) if isinstance(cell, DenseCell) else new
        # A split kernel has put it elsewhere than the carry before, whose type it
        # has to have.
        carry = jax.tree.map(lying_as, new, carry)
        return carry, (out if lengths is None else (carry, out))

    run = scan(
        step,
        in_axes=(axes, Carry, axis),
        out_axes=(Carry, out_axes),
        unroll=rnn.unroll,
    )
    if only is None:
        carry, outputs = run(rnn.cell, carry, jnp.asarray(inputs))
    else:
        with split_rngs(rnn.cell, splits=1, only=only, squeeze=True):
            carry, outputs = run(rnn.cell, carry, jnp.asarray(inputs))
    if lengths is None:
        return carry, outputs
    carries, outputs = outputs
    return last_carry(carries, lengths), outputs


def _time_axis(rnn: RNN, inputs: jax.Array, time_major: bool) -> int:
    features = rnn.cell.num_feature_axes
    if inputs.ndim <= features:
        form = ", ".join(["*batch", "time", *["features"] * features])
        raise ShapeError(
            f"RNN of a {type(rnn.cell).__name__} expects a time axis and "
            f"{features} of features, but the input has shape {inputs.shape}",
            where=module_path(rnn),
            remedy=f"pass an input of shape ({form}).",
        )
    return 0 if time_major else inputs.ndim - features - 1


def _check_lengths(rnn: RNN, lengths: Any, batch: tuple[int, ...]) -> jax.Array:
    lengths = jnp.asarray(lengths)
    what = "seq_lengths of an RNN are numbers of steps, but have"
    cast = "pass seq_lengths=lengths.astype(jnp.int32)."
    check_kind(rnn, lengths, jnp.integer, what, cast)
    if lengths.shape != batch:
        raise ShapeError(
            f"RNN expects seq_lengths of shape {batch}, one for each sequence, but "
            f"got shape {lengths.shape}",
            where=module_path(rnn),
            remedy=f"pass an integer array of shape {batch}, or time_major=True if "
            "the time axis of the input comes first.",
        )
    return lengths


def carry_stream(rngs: Any, needed: bool, kind: str) -> RngStream | None:
    """The stream that an RNN keeps for its first carry."""
    if rngs is True:
        return RngStream(0, tag="carry") if needed else None
    if rngs is False or rngs is None:
        return None
    if isinstance(rngs, Rngs):
        return rngs["carry"].fork()
    if isinstance(rngs, RngStream):
        return rngs
    raise ArgumentError(
        f"rngs of a {kind} is a {type(rngs).__name__}; expected Rngs, RngStream or a "
        "bool",
        remedy="pass rngs=nnx.Rngs(0), or leave it out.",
    )


def _rewind(cell: Any, only: Any) -> None:
    """Sets the random streams that `only` selects back to their first key."""
    selects = to_predicate(only)
    for path, stream in iter_graph(cell):
        if isinstance(stream, RngStream) and selects((*path, "key"), stream.key):
            stream.count.value = jnp.zeros_like(stream.count.value)


def _split_like(inputs: Any, carry: Any, time_axis: int, n_batch: int) -> Any:
    """The first carry, split along the batch as the inputs are.

    On a mesh with explicit axes that is a part of an array's type, which each step of
    the scan is to keep.
    """
    sharding = jax.typeof(inputs).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return carry
    entries = [*sharding.spec, *[None] * (inputs.ndim - len(sharding.spec))]
    batch = _without(tuple(entries), time_axis)[:n_batch]
    like_inputs = NamedSharding(sharding.mesh, PartitionSpec(*batch))
    with mesh_of(inputs):
        return jax.tree.map(lambda x: jax.sharding.reshard(x, like_inputs), carry)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
