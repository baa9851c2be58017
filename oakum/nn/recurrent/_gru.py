"""GRUCell: a gated cell whose output is all that it remembers."""

from __future__ import annotations

from typing import Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._objects import Param
from .._dtypes import as_output
from ..linear._linear import Linear
from ._cells import Products, check_step, output_dtype
from ._gated import GateArguments, GatedCell


class GRUCell(GatedCell):
    """A gated recurrent unit: gates decide how much of the output is renewed.

    Cho et al.: Learning Phrase Representations using RNN Encoder-Decoder,
    https://arxiv.org/abs/1406.1078, 2014. The reset gate acts on the product with the
    carry, where the paper's acts on the carry; so all products are taken as one.

        r, z = sigmoid(x W + b + h U + c), of each its own W, b, U, c
        n = tanh(x W + b + r * (h U + c))
        h' = (1 - z) * n + z * h

    Attributes: `dense_i` and `dense_h`, the Linear of the input and of the carry; their
    results are `r`, `z` and `n` one after another. So are those of PyTorch's
    `weight_ih`, `bias_ih`, `weight_hh` and `bias_hh`, the weights transposed; Linen has
    `c` for `n` alone.

    Args:
        recurrent_bias: whether there is `c`, as in PyTorch and Linen; it starts as
            zeros. False has the parameters of flax.nnx, which lacks it; without biases
            (`use_bias=False`) there is none either.

    The other arguments are those of every cell with gates: `GatedCell`.

    Raises:
        MissingRngError: no `rngs`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
        >>> nnx.RNN(cell)(jnp.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    @with_arguments_of(GatedCell.__init__)
    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        recurrent_bias: bool = True,
        **others: Unpack[GateArguments],
    ):
        super().__init__(in_features, hidden_features, **others)
        if recurrent_bias and others.get("use_bias", True):
            # Zeros, and no key drawn, so that it starts as flax.nnx does without it.
            zeros = jnp.zeros(3 * self.hidden_features, self.param_dtype)
            self.dense_h.bias = Param(zeros, **others.get("bias_metadata", {}))
            self.dense_h.use_bias = True

    def _make_products(self, products: Products) -> None:
        taken, kept, bias = products
        width = 3 * self.hidden_features
        self.dense_i = Linear(self.in_features, width, **taken, **bias)
        self.dense_h = Linear(self.hidden_features, width, use_bias=False, **kept)

    def __call__(
        self, carry: jax.Array, inputs: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Does one step.

        Args:
            carry: `(*batch, hidden_features)`.
            inputs: `(*batch, in_features)`.

        Returns:
            The new carry, and the output, `(*batch, hidden_features)`.

        Raises:
            ShapeError: input or carry have another shape.
        """
        check_step(self, carry, inputs, self.hidden_features)
        x_r, x_z, x_n = jnp.split(self.dense_i(inputs), 3, axis=-1)
        h_r, h_z, h_n = jnp.split(self.dense_h(carry), 3, axis=-1)
        r = self.gate_fn(x_r + h_r)
        z = self.gate_fn(x_z + h_z)
        n = self.activation_fn(x_n + r * h_n)
        # The carry may start in another dtype than that of the computation.
        with jax.numpy_dtype_promotion("standard"):
            out = (1.0 - z) * n + z * carry
        return out, as_output(out, output_dtype(self))
