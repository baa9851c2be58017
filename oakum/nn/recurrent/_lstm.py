"""LSTM cells: what they remember passes through gates.

Their carry is a pair of arrays: the memory, and the last output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._activations import sigmoid, tanh
from .._dtypes import PromoteDtype, as_output, promote_dtype
from .._params import plain
from ..linear._linear import Linear
from ._cells import DenseCell, kept_stream, orthogonal

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


class LSTMCell(DenseCell):
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

    Args:
        in_features: size of the last axis of the input.
        hidden_features: size of each array of the carry, and of the output.
        gate_fn: activation of the gates.
        activation_fn: activation of the memory and of what is stored.
        kernel_init: initializer of the kernels of the input.
        recurrent_kernel_init: initializer of the kernels of the carry.
        bias_init: initializer of the biases.
        dtype: dtype of the computation and of the output; None infers it from input and
            parameters.
        param_dtype: dtype of the parameters and of the first carry.
        carry_init: initializer of the first carry; None is zeros.
        promote_dtype: casts `(inputs, kernel, bias)`.
        keep_rngs: whether to keep a random stream for the first carry.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernels of the input.
        recurrent_kernel_metadata: metadata of the kernels of the carry.
        bias_metadata: metadata of the biases.

    Raises:
        MissingRngError: no `rngs`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> (memory, last), out = cell(cell.initialize_carry((2, 3)), jnp.ones((2, 3)))
        >>> memory.shape, out.shape
        ((2, 4), (2, 4))
    """

    carry_parts: ClassVar[int] = 2

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[..., Any] = sigmoid,
        activation_fn: Callable[..., Any] = tanh,
        kernel_init: Initializer = initializers.lecun_normal(),
        recurrent_kernel_init: Initializer = orthogonal,
        bias_init: Initializer = initializers.zeros,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        carry_init: Initializer | None = None,
        promote_dtype: PromoteDtype = promote_dtype,
        keep_rngs: bool = False,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        recurrent_kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.in_features = plain(in_features)
        self.hidden_features = plain(hidden_features)
        self.gate_fn = gate_fn
        self.activation_fn = activation_fn
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.carry_init = carry_init
        self.promote_dtype = promote_dtype
        self.rngs = kept_stream(keep_rngs, rngs, "LSTMCell")
        shared = {
            "dtype": dtype,
            "param_dtype": param_dtype,
            "promote_dtype": promote_dtype,
            "rngs": rngs,
        }
        taken: dict[str, Any] = {
            "kernel_init": kernel_init,
            "kernel_metadata": kernel_metadata,
            **shared,
        }
        kept: dict[str, Any] = {
            "kernel_init": recurrent_kernel_init,
            "kernel_metadata": recurrent_kernel_metadata,
            **shared,
        }
        bias = {"bias_init": bias_init, "bias_metadata": bias_metadata}
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
        self.check_step(carry, inputs)
        memory, last = carry
        gates = (
            self.ii(inputs) + self.hi(last),
            self.if_(inputs) + self.hf(last),
            self.ig(inputs) + self.hg(last),
            self.io(inputs) + self.ho(last),
        )
        return remember(self, memory, gates)


class OptimizedLSTMCell(DenseCell):
    """An LSTMCell that takes the products of all gates as one.

    It computes what an LSTMCell does, faster up to some 2,000 hidden features.

    Attributes: `dense_i`, the Linear of the input, and `dense_h`, that of the last
    output; their results are `i`, `f`, `g` and `o` one after another.

    Args:
        in_features: size of the last axis of the input.
        hidden_features: size of each array of the carry, and of the output.
        gate_fn: activation of the gates.
        activation_fn: activation of the memory and of what is stored.
        kernel_init: initializer of the kernel of the input.
        recurrent_kernel_init: initializer of the kernel of the carry.
        bias_init: initializer of the bias.
        dtype: dtype of the computation and of the output; None infers it from input and
            parameters.
        param_dtype: dtype of the parameters and of the first carry.
        carry_init: initializer of the first carry; None is zeros.
        promote_dtype: casts `(inputs, kernel, bias)`.
        keep_rngs: whether to keep a random stream for the first carry.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernel of the input.
        recurrent_kernel_metadata: metadata of the kernel of the carry.
        bias_metadata: metadata of the bias.

    Raises:
        MissingRngError: no `rngs`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cell = nnx.OptimizedLSTMCell(3, 4, rngs=nnx.Rngs(0))
        >>> cell.dense_i.kernel.shape, nnx.RNN(cell)(jnp.ones((2, 5, 3))).shape
        ((3, 16), (2, 5, 4))
    """

    carry_parts: ClassVar[int] = 2

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        gate_fn: Callable[..., Any] = sigmoid,
        activation_fn: Callable[..., Any] = tanh,
        kernel_init: Initializer = initializers.lecun_normal(),
        recurrent_kernel_init: Initializer = orthogonal,
        bias_init: Initializer = initializers.zeros,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        carry_init: Initializer | None = None,
        promote_dtype: PromoteDtype = promote_dtype,
        keep_rngs: bool = False,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        recurrent_kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        self.in_features = plain(in_features)
        self.hidden_features = plain(hidden_features)
        self.gate_fn = gate_fn
        self.activation_fn = activation_fn
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.carry_init = carry_init
        self.promote_dtype = promote_dtype
        self.rngs = kept_stream(keep_rngs, rngs, "OptimizedLSTMCell")
        shared = {
            "dtype": dtype,
            "param_dtype": param_dtype,
            "promote_dtype": promote_dtype,
            "rngs": rngs,
        }
        taken: dict[str, Any] = {
            "kernel_init": kernel_init,
            "kernel_metadata": kernel_metadata,
            **shared,
        }
        kept: dict[str, Any] = {
            "kernel_init": recurrent_kernel_init,
            "kernel_metadata": recurrent_kernel_metadata,
            **shared,
        }
        bias = {"bias_init": bias_init, "bias_metadata": bias_metadata}
        width = 4 * self.hidden_features
        self.dense_i = Linear(self.in_features, width, use_bias=False, **taken)
        self.dense_h = Linear(self.hidden_features, width, **kept, **bias)

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
        self.check_step(carry, inputs)
        memory, last = carry
        sums = self.dense_i(inputs) + self.dense_h(last)  # (*batch, 4 * hidden)
        return remember(self, memory, jnp.split(sums, 4, axis=-1))
