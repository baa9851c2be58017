"""LSTM cells: what they remember passes through gates.

Their carry is a pair of arrays: the memory, and the last output.
"""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from .._dtypes import as_output
from .._params import plain
from ..linear._linear import Linear
from ._cells import Products, check_step, output_dtype
from ._gated import GateArguments, GatedCell

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
    return (memory, out), as_output(out, output_dtype(cell))


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

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """Does one step.

        Args:
            carry: memory and last output, each `(*batch, hidden_features)`.
            inputs: `(*batch, in_features)`.

        Returns:
            The new carry, and the output, `(*batch, hidden_features)`.

        Raises:
            ShapeError: input or carry have another shape.
        """
        check_step(self, carry, inputs, *2 * (self.hidden_features,))
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

    With `projection_features` the output is a projection of what the memory shows, as
    in Sak, Senior, Beaufays: Long Short-Term Memory Based Recurrent Neural Network
    Architectures, https://arxiv.org/abs/1402.1128, 2014.

    Attributes: `dense_i`, the Linear of the input, and `dense_h`, that of the last
    output; their results are `i`, `f`, `g` and `o` one after another; `projection`, a
    Linear without bias, or None.

    Args:
        projection_features: size of the output, where it is projected.

    The other arguments are those of every cell with gates: `GatedCell`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> cell.dense_i.kernel.shape, nnx.RNN(cell)(jnp.ones((2, 5, 3))).shape
        ((3, 16), (2, 5, 4))
    """

    carry_parts: ClassVar[int] = 2

    @with_arguments_of(GatedCell.__init__)
    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        projection_features: int | None = None,
        **others: Unpack[GateArguments],
    ):
        self.projection_features = plain(projection_features)
        self.projection = None
        super().__init__(in_features, hidden_features, **others)

    def _make_products(self, products: Products) -> None:
        taken, kept, bias = products
        width, shown = 4 * self.hidden_features, self._carry_widths()[1]
        self.dense_i = Linear(self.in_features, width, use_bias=False, **taken)
        self.dense_h = Linear(shown, width, **kept, **bias)
        if self.projection_features is not None:
            self.projection = Linear(
                self.hidden_features, shown, use_bias=False, **taken
            )

    def _carry_widths(self) -> tuple[int, ...]:
        shown = self.projection_features
        hidden = self.hidden_features
        return hidden, hidden if shown is None else shown

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """Does one step.

        Args:
            carry: memory, `(*batch, hidden_features)`, and last output.
            inputs: `(*batch, in_features)`.

        Returns:
            The new carry, and the output, `(*batch, features)`.

        Raises:
            ShapeError: input or carry have another shape.
        """
        projection = getattr(self, "projection", None)
        hidden = self.hidden_features
        shown = hidden if projection is None else self.projection_features
        check_step(self, carry, inputs, hidden, shown)
        memory, last = carry
        sums = self.dense_i(inputs) + self.dense_h(last)  # (*batch, 4 * hidden)
        carry, out = remember(self, memory, jnp.split(sums, 4, axis=-1))
        if projection is None:
            return carry, out
        last = projection(carry[1])
        return (carry[0], last), as_output(last, output_dtype(self))
