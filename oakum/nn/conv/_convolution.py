"""Base of the layers that move a kernel over the spatial axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypedDict

import jax
import jax.numpy as jnp

from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._dtypes import PromoteDtype, promote_dtype
from .._params import as_tuple, param_maker, plain
from ._kernel import check_mask
from ._padding import per_axis


class ConvolutionArguments(TypedDict, total=False):
    """What Conv and ConvTranspose hand on to `Convolution`, which documents it."""

    use_bias: bool
    mask: jax.Array | None
    dtype: Dtype | None
    param_dtype: Dtype
    precision: Any
    kernel_init: Initializer
    bias_init: Initializer
    promote_dtype: PromoteDtype
    preferred_element_type: Dtype | None
    rngs: Rngs | None
    kernel_metadata: Mapping[str, Any]
    bias_metadata: Mapping[str, Any]


class Convolution(Module):
    """Base of Conv and ConvTranspose, which set what is their own first."""

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None,
        *,
        padding: Any,
        use_bias: bool = True,
        mask: jax.Array | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: Any = None,
        kernel_init: Initializer = initializers.lecun_normal(),
        bias_init: Initializer = initializers.zeros,
        promote_dtype: PromoteDtype = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        """Makes the layer.

        Args:
            in_features: size of the last axis of the input.
            out_features: size of the last axis of the output.
            kernel_size: size along each spatial axis; their number is the number of
                spatial axes. An int stands for one axis.
            strides, padding: of the layer.
            use_bias: whether to add a bias.
            mask: multiplied with the kernel, of its shape.
            dtype: dtype of the computation; None infers it from input and parameters.
            param_dtype: dtype of the parameters.
            precision: precision of the products, as `jax.lax.conv_general_dilated`
                takes it.
            kernel_init: initializer of the kernel.
            bias_init: initializer of the bias.
            promote_dtype: casts `(inputs, kernel, bias)`.
            preferred_element_type: dtype in which sums accumulate and are returned.
            rngs: gives the keys of the initializers, from its `params` stream.
            kernel_metadata: metadata of the kernel.
            bias_metadata: metadata of the bias.

        Raises:
            ArgumentValueError: a padding, strides, dilation or groups that do not fit.
            ShapeError: a mask that has not the shape of the kernel.
            MissingRngError: no `rngs` for an initializer that draws.
        """
        self.kernel_size = as_tuple(kernel_size)
        self.in_features, self.out_features = plain(in_features), plain(out_features)
        self.strides, self.padding = plain(strides), plain(padding)
        self.use_bias, self.mask = use_bias, mask
        self.dtype, self.param_dtype = dtype, param_dtype
        self.precision = precision
        self.promote_dtype = promote_dtype
        self.preferred_element_type = preferred_element_type
        self.kernel_shape = (*self.kernel_size, *self._channels())
        per_axis(self.kernel_size, len(self.kernel_size), "kernel_size")
        self._check_window()
        check_mask(self)
        make = param_maker(self, rngs, param_dtype)
        self.kernel = make("kernel", kernel_init, self.kernel_shape, kernel_metadata)
        self.bias = None
        if use_bias:
            self.bias = make("bias", bias_init, (out_features,), bias_metadata)

    def _channels(self) -> tuple[int, int]:
        """The last two axes of the kernel."""
        raise NotImplementedError

    def _check_window(self) -> None:
        """Raises an ArgumentValueError where the arguments do not fit one another."""
        raise NotImplementedError
