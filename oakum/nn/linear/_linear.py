"""Linear: a matrix product and a bias over the last axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._compute import Settings, add_bias, compute
from .._dtypes import PromoteDtype, promote_dtype
from .._params import as_array, last_axis_error, param_maker, plain, value_of


def affine(
    using: Settings, inputs: jax.Array, kernel: jax.Array, bias: jax.Array | None
) -> jax.Array:
    """`inputs @ kernel + bias`, over the last axis of `inputs`."""
    contracted = (((inputs.ndim - 1,), (0,)), ((), ()))
    return add_bias(using.multiply(inputs, kernel, contracted), bias)


class Linear(Module):
    """A linear map of the last axis: `inputs @ kernel + bias`.

    Attributes: `kernel`, a Param of shape `(in_features, out_features)`; `bias`, a
    Param of shape `(out_features,)` or None.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        use_bias: whether to add a bias.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        precision: precision of the product, as `jax.lax.dot_general` takes it.
        kernel_init: initializer of the kernel.
        bias_init: initializer of the bias.
        dot_general: function to take the product with, in place of
            `jax.lax.dot_general`.
        promote_dtype: casts `(inputs, kernel, bias)`.
        preferred_element_type: dtype in which the product accumulates and is returned.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
        >>> layer.kernel.shape, layer(jnp.ones((2, 3))).shape
        ((3, 4), (2, 4))
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: Any = None,
        kernel_init: Initializer = initializers.lecun_normal(),
        bias_init: Initializer = initializers.zeros,
        dot_general: Callable[..., jax.Array] = lax.dot_general,
        promote_dtype: PromoteDtype = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        make = param_maker(self, rngs, param_dtype)
        self.kernel = make(
            "kernel", kernel_init, (in_features, out_features), kernel_metadata
        )
        self.bias = None
        if use_bias:
            self.bias = make("bias", bias_init, (out_features,), bias_metadata)
        self.in_features, self.out_features = plain(in_features), plain(out_features)
        self.use_bias = use_bias
        self.dtype, self.param_dtype = dtype, param_dtype
        self.precision = precision
        self.dot_general = dot_general
        self.promote_dtype = promote_dtype
        self.preferred_element_type = preferred_element_type

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the map.

        Args:
            inputs: `(..., in_features)`.
            out_sharding: sharding of the output, for a mesh with explicit axes.

        Returns:
            An array of shape `(..., out_features)`.

        Raises:
            ShapeError: the last axis is not `in_features`.
        """
        kernel, inputs = value_of(self, "kernel"), as_array(inputs)
        if inputs.shape[-1:] != kernel.shape[:1]:
            raise last_axis_error(self, inputs, kernel.shape[0], "in_features")
        bias, product = value_of(self, "bias"), self.dot_general
        return compute(
            affine,
            self,
            inputs,
            kernel,
            bias,
            product=product,
            out_sharding=out_sharding,
        )
