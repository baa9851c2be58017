"""Bidirectional: an RNN forwards, another backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Module
from ..._rngs import Rngs, RngStream
from ._cells import draws_carry
from ._rnn import RNN, carry_stream


def concatenate(a: jax.Array, b: jax.Array) -> jax.Array:
    """Both beside each other along the last axis."""
    return jnp.concatenate([a, b], axis=-1)


class Bidirectional(Module):
    """Runs one RNN forwards and another backwards, and joins their outputs.

    Schuster, Paliwal: Bidirectional Recurrent Neural Networks,
    https://doi.org/10.1109/78.650093, 1997.

    Attributes: `forward_rnn` and `backward_rnn`; `rngs`, a random stream for the first
    carries, or None where both start from zeros.

    Args:
        forward_rnn: for the direction of time.
        backward_rnn: for the other direction. The same object as `forward_rnn` shares
            its parameters.
        merge_fn: joins the outputs of the two; concatenates the last axis by default.
        time_major: whether the time axis comes first.
        return_carry: whether to return the pair of last carries too.
        rngs: streams for the first carries. True makes one of seed 0 for an RNN that
            may need it, False none.

    Raises:
        ArgumentError: `rngs` is of another kind.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rngs = nnx.Rngs(0)
        >>> forward, backward = (nnx.RNN(nnx.GRUCell(3, 4, rngs=rngs)) for _ in 'ab')
        >>> nnx.Bidirectional(forward, backward)(jnp.ones((2, 5, 3))).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        forward_rnn: Callable[..., Any],
        backward_rnn: Callable[..., Any],
        *,
        merge_fn: Callable[[jax.Array, jax.Array], jax.Array] = concatenate,
        time_major: bool = False,
        return_carry: bool = False,
        rngs: Rngs | RngStream | bool = True,
    ):
        self.forward_rnn, self.backward_rnn = forward_rnn, backward_rnn
        self.merge_fn = merge_fn
        self.time_major, self.return_carry = time_major, return_carry
        needed = _draws(forward_rnn) or _draws(backward_rnn)
        self.rngs = carry_stream(rngs, needed, "Bidirectional")

    def __call__(
        self,
        inputs: jax.Array,
        *,
        initial_carry: tuple[Any, Any] | None = None,
        rngs: Rngs | RngStream | None = None,
        seq_lengths: jax.Array | None = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """Runs both along the sequence.

        Args:
            inputs: `(*batch, time, *features)`, or `(time, *batch, *features)` if
                time-major.
            initial_carry: the first carries, forwards and backwards.
            rngs: streams for the first carries; go before those of the constructor.
            seq_lengths: `(*batch)`, number of steps of each sequence.
            return_carry: goes before that of the constructor.
            time_major: goes before that of the constructor.
            reverse: accepted for the form of an RNN, without effect.
            keep_order: accepted for the form of an RNN, without effect.

        Returns:
            The joined outputs; or a pair of the two carries and the outputs.
        """
        del reverse, keep_order
        return_carry = self.return_carry if return_carry is None else return_carry
        rngs = self.rngs if rngs is None else rngs
        first, second = (None, None) if initial_carry is None else initial_carry
        options = {
            "rngs": rngs["carry"] if isinstance(rngs, Rngs) else rngs,
            "seq_lengths": seq_lengths,
            "return_carry": True,
            "time_major": self.time_major if time_major is None else time_major,
        }
        ahead, there = self.forward_rnn(
            inputs, initial_carry=first, reverse=False, **options
        )
        back, here = self.backward_rnn(
            inputs, initial_carry=second, reverse=True, keep_order=True, **options
        )
        outputs = jax.tree.map(self.merge_fn, there, here)
        return ((ahead, back), outputs) if return_carry else outputs


def _draws(rnn: Any) -> bool:
    if isinstance(rnn, RNN):
        return rnn.rngs is not None or draws_carry(rnn.cell)
    return True
