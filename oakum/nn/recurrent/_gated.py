"""Base of the cells with gates: what GRU and LSTM cells are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp

from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._activations import sigmoid, tanh
from .._dtypes import PromoteDtype, promote_dtype
from .._params import plain
from ._cells import DenseCell, kept_stream, orthogonal


class Products(NamedTuple):
    """What the Linears of a cell are made with, as keyword arguments.

    Attributes:
        taken: those that map the input.
        kept: those that map the carry.
        bias: those with a bias, besides.
    """

    taken: dict[str, Any]
    kept: dict[str, Any]
    bias: dict[str, Any]


class GateArguments(TypedDict, total=False):
    """What a cell with gates hands on to `GatedCell`, which documents it."""

    gate_fn: Callable[..., Any]
    activation_fn: Callable[..., Any]
    kernel_init: Initializer
    recurrent_kernel_init: Initializer
    bias_init: Initializer
    dtype: Dtype | None
    param_dtype: Dtype
    carry_init: Initializer | None
    promote_dtype: PromoteDtype
    keep_rngs: bool
    rngs: Rngs | None
    kernel_metadata: Mapping[str, Any]
    recurrent_kernel_metadata: Mapping[str, Any]
    bias_metadata: Mapping[str, Any]


class GatedCell(DenseCell):
    """Base of cells with gates; each makes its own Linears."""

    gate_fn: Callable[..., Any]
    activation_fn: Callable[..., Any]

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
        """Makes the cell.

        Args:
            in_features: size of the last axis of the input.
            hidden_features: size of each array of the carry, and of the output.
            gate_fn: activation of the gates.
            activation_fn: activation of what is stored, and of the memory of an LSTM.
            kernel_init: initializer of the kernels of the input.
            recurrent_kernel_init: initializer of the kernels of the carry.
            bias_init: initializer of the biases.
            dtype: dtype of the computation and of the output; None infers it from input
                and parameters.
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
        """
        self.in_features = plain(in_features)
        self.hidden_features = plain(hidden_features)
        self.gate_fn, self.activation_fn = gate_fn, activation_fn
        self.dtype, self.param_dtype = dtype, param_dtype
        self.carry_init = carry_init
        self.promote_dtype = promote_dtype
        self.rngs = kept_stream(keep_rngs, rngs, type(self).__name__)
        shared = {
            "dtype": dtype,
            "param_dtype": param_dtype,
            "promote_dtype": promote_dtype,
            "rngs": rngs,
        }
        products = Products(
            {"kernel_init": kernel_init, "kernel_metadata": kernel_metadata, **shared},
            {
                "kernel_init": recurrent_kernel_init,
                "kernel_metadata": recurrent_kernel_metadata,
                **shared,
            },
            {"bias_init": bias_init, "bias_metadata": bias_metadata},
        )
        self._make_products(products)

    def _make_products(self, products: Products) -> None:
        raise NotImplementedError

    def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        """Does one step.

        Args:
            carry: `(*batch, hidden_features)`; of an LSTM memory and last output, two
                such arrays.
            inputs: `(*batch, in_features)`.

        Returns:
            The new carry, and the output, `(*batch, hidden_features)`.

        Raises:
            ShapeError: input or carry have another shape.
        """
        self.check_step(carry, inputs)
        return self._step(carry, inputs)

    def _step(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
        raise NotImplementedError
