"""LSTM cells: what they remember passes through gates.

Their carry is a pair of arrays: the memory, and the last output.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .._dtypes import as_output
from ..linear._linear import Linear
from ._gated import GatedCell, Products

Carry = tuple[jax.Array, jax.Array]


def remember(
    cell: LSTMCell | OptimizedLSTMCell, memory: jax.Array, gates: Any
) -> tuple[Carry, jax.Array]:
    """One step from the sums `gates`: of input, forget, cell and output."""
    i, f, g, o = gates
    # The carry may start in another dtype than that of the computation.
    with jax.numpy_dtype_promotion("standard"):
        kept = cell.gate_fn(f) * memory
        memory = kept + cell.gate_fn(i) * cell.activation_fn(g)
        out = cell.gate_fn(o) * cell.activation_fn(memory)
    return (memory, out), as_output(out, cell.output_dtype or cell.dtype)


class LSTMCell(GatedCell):
    """A long short-term memory: gates decide what is forgotten, stored and shown.

    Hochreiter, Schmidhuber: Long Short-Term Memory,
    https://doi.org/10.1162/neco.1997.9.8.1735, 1997, with the forget gate of Gers,
    Schmidhuber, Cummins: Learning to Forget,
    https://doi.org/10.1162/089976600300015015, 2000. With `h` the last output,

        i, f, o = sigmoid(x W + h U + b), of each its own W, U, b
        g = tanh(x W + h U + b)
        c' = f * c + i * g
        h' = o * tanh(c')

    Attributes: `ii`, `if_`, `ig`, `io`, a Linear of the input for each gate; `hi`,
    `hf`, `hg`, `ho`, one of the last output.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> (memory, last), out = cell(cell.initialize_carry((2, 3)), jnp.ones((2, 3)))
        >>> memory.shape, out.shape
        ((2, 4), (2, 4))
    """

    carry_parts: ClassVar[int] = 2

    def _make_products(self, products: Products) -> None:
        taken, kept, bias = products
        sizes = self.in_features, self.hidden_features
        self.ii = Linear(*sizes, use_bias=False, **taken)
        self.if_ = Linear(*sizes, use_bias=False, **taken)
        self.ig = Linear(*sizes, use_bias=False, **taken)
        self.io = Linear(*sizes, use_bias=False, **taken)
        sizes = self.hidden_features, self.hidden_features
        self.hi = Linear(*sizes, **kept, **bias)
        self.hf = Linear(*sizes, **kept, **bias)
        self.hg = Linear(*sizes, **kept, **bias)
        self.ho = Linear(*sizes, **kept, **bias)

    def _step(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        memory, last = carry
        gates = (
            self.ii(inputs) + self.hi(last),
            self.if_(inputs) + self.hf(last),
            self.ig(inputs) + self.hg(last),
            self.io(inputs) + self.ho(last),
        )
        return remember(self, memory, gates)


class OptimizedLSTMCell(GatedCell):
    """An LSTMCell that takes the products of all gates as one.

    It computes what an LSTMCell does, faster up to some 2,000 hidden features.

    Attributes: `dense_i`, the Linear of the input, and `dense_h`, that of the last
    output; their results are `i`, `f`, `g` and `o` one after another.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> cell.dense_i.kernel.shape, nnx.RNN(cell)(jnp.ones((2, 5, 3))).shape
        ((3, 16), (2, 5, 4))
    """

    carry_parts: ClassVar[int] = 2

    def _make_products(self, products: Products) -> None:
        taken, kept, bias = products
        width = 4 * self.hidden_features
        self.dense_i = Linear(self.in_features, width, use_bias=False, **taken)
        self.dense_h = Linear(self.hidden_features, width, **kept, **bias)

    def _step(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        memory, last = carry
        sums = self.dense_i(inputs) + self.dense_h(last)  # (*batch, 4 * hidden)
        return remember(self, memory, jnp.split(sums, 4, axis=-1))
