"""Conv: convolution over any number of spatial axes, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..._objects import Module, module_path
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentValueError, ShapeError
from .. import initializers
from .._dtypes import PromoteDtype, as_output, promote_dtype
from .._params import make_param, plain, size_error, value_of
from ..linear._linear import multiply
from ._padding import (
    canonicalize_padding,
    check_dilated_padding,
    fits_nowhere,
    kernel_error,
    pad_inputs,
    per_axis,
)


class ConvOptions(NamedTuple):
    """What `convolve` is told besides its arrays, in the user's words; hashable."""

    rank: int
    strides: Any
    padding: Any
    input_dilation: Any
    kernel_dilation: Any
    feature_group_count: int
    dtype: Any
    precision: Any
    preferred_element_type: Any
    out_sharding: Any
    output_dtype: Any


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    mask: jax.Array | None,
    promote: PromoteDtype,
    conv_general_dilated: Callable[..., jax.Array],
    options: ConvOptions,
) -> jax.Array:
    """Convolves `(*batch, *spatial, channels)` with `kernel`, and adds `bias`."""
    rank = options.rank
    batch_shape = inputs.shape[: -(rank + 1)]
    if len(batch_shape) != 1:
        inputs = inputs.reshape(math.prod(batch_shape), *inputs.shape[-(rank + 1) :])
    kernel_dilation = per_axis(options.kernel_dilation, rank, "kernel_dilation")
    inputs, padding = pad_inputs(
        inputs,
        canonicalize_padding(options.padding, rank),
        kernel.shape[:rank],
        kernel_dilation,
    )
    if mask is not None:
        weights, chosen = promote_dtype((kernel, mask), inexact=False)
        kernel = weights * chosen
    inputs, kernel, bias = promote((inputs, kernel, bias), dtype=options.dtype)
    channels_last = (0, rank + 1, *range(1, rank + 1))
    numbers = lax.ConvDimensionNumbers(
        channels_last, (rank + 1, rank, *range(rank)), channels_last
    )

    def product(x: jax.Array, y: jax.Array, **given: Any) -> jax.Array:
        return conv_general_dilated(
            x,
            y,
            per_axis(options.strides, rank, "strides"),
            padding,
            lhs_dilation=per_axis(options.input_dilation, rank, "input_dilation"),
            rhs_dilation=kernel_dilation,
            dimension_numbers=numbers,
            feature_group_count=options.feature_group_count,
            **given,
        )

    ours = conv_general_dilated is lax.conv_general_dilated
    out = multiply(product, inputs, kernel, ours, options)
    if bias is not None:
        bias = jnp.reshape(bias, (1,) * (out.ndim - bias.ndim) + bias.shape)
        # With preferred_element_type, `out` may be wider than the bias.
        with jax.numpy_dtype_promotion("standard"):
            out = out + bias
    if len(batch_shape) != 1:
        out = out.reshape(*batch_shape, *out.shape[1:])
    return as_output(out, options.output_dtype)


_convolve_compiled = jax.jit(convolve, static_argnums=(4, 5, 6))


class Conv(Module):
    """A convolution over the spatial axes of `(*batch, *spatial, in_features)`.

    Attributes: `kernel`, a Param of shape
    `(*kernel_size, in_features // feature_group_count, out_features)`; `bias`, a Param
    of shape `(out_features,)` or None.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        kernel_size: size along each spatial axis; their number is the number of
            spatial axes. An int stands for one axis.
        strides: step along each spatial axis, or one int for all.
        padding: `'SAME'`, `'VALID'`, `'CIRCULAR'` (wraps around), `'REFLECT'`
            (mirrors), `'CAUSAL'` (one axis: only the past is seen), an int, or for
            each spatial axis an int or a pair `(low, high)`.
        input_dilation: spacing between the elements of the input along each spatial
            axis, or one int for all; a transposed convolution of that stride.
        kernel_dilation: spacing between the elements of the kernel, likewise.
        feature_group_count: number of groups into which the channels are divided;
            each output sees the inputs of its group alone.
        use_bias: whether to add a bias.
        mask: multiplied with the kernel, of its shape.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        precision: precision of the products, as `jax.lax.conv_general_dilated` takes.
        kernel_init: initializer of the kernel.
        bias_init: initializer of the bias.
        conv_general_dilated: function to convolve with, in place of that of `jax.lax`.
        promote_dtype: casts `(inputs, kernel, bias)`.
        preferred_element_type: dtype in which sums accumulate and are returned.
        rngs: gives the keys of the initializers, from its `params` stream.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        ArgumentValueError: a padding, strides or groups that do not fit.
        ShapeError: a mask that has not the shape of the kernel.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.Conv(3, 4, kernel_size=(3, 3), strides=2, rngs=nnx.Rngs(0))
        >>> layer.kernel.shape, layer(jnp.ones((1, 8, 8, 3))).shape
        ((3, 3, 3, 4), (1, 4, 4, 4))
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = 1,
        *,
        padding: Any = "SAME",
        input_dilation: int | Sequence[int] | None = 1,
        kernel_dilation: int | Sequence[int] | None = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        mask: jax.Array | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: Any = None,
        kernel_init: Initializer = initializers.lecun_normal(),
        bias_init: Initializer = initializers.zeros,
        conv_general_dilated: Callable[..., jax.Array] = lax.conv_general_dilated,
        promote_dtype: PromoteDtype = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs | None = None,
        kernel_metadata: Mapping[str, Any] = MappingProxyType({}),
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        size = plain(kernel_size)
        self.kernel_size = size if isinstance(size, tuple) else (size,)
        self.in_features = plain(in_features)
        self.out_features = plain(out_features)
        self.strides = plain(strides)
        self.padding = plain(padding)
        self.input_dilation = plain(input_dilation)
        self.kernel_dilation = plain(kernel_dilation)
        self.feature_group_count = plain(feature_group_count)
        self.use_bias = use_bias
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.precision = precision
        self.conv_general_dilated = conv_general_dilated
        self.promote_dtype = promote_dtype
        self.preferred_element_type = preferred_element_type
        group_features = self.in_features // self.feature_group_count
        self.kernel_shape = (*self.kernel_size, group_features, self.out_features)
        self.mask = mask
        self._check_arguments()
        self.kernel = make_param(
            kernel_init,
            rngs,
            self.kernel_shape,
            param_dtype,
            kernel_metadata,
            "Conv.kernel",
        )
        self.bias = None
        if use_bias:
            self.bias = make_param(
                bias_init,
                rngs,
                (out_features,),
                param_dtype,
                bias_metadata,
                "Conv.bias",
            )

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Applies the convolution.

        Args:
            inputs: `(*batch, *spatial, in_features)`, with any number of batch axes,
                none included.
            out_sharding: sharding of the output, for a mesh with explicit axes.

        Returns:
            An array of shape `(*batch, *spatial, out_features)`.

        Raises:
            ShapeError: the last axis is not `in_features`, an axis is missing, or the
                kernel is larger than the padded input.
        """
        rank = len(self.kernel_size)
        if inputs.ndim <= rank or inputs.shape[-1] != self.in_features:
            raise self._input_error(inputs)
        if self.mask is not None:
            self._check_mask()
        promote, conv = self.promote_dtype, self.conv_general_dilated
        # A user's function may read or write state, so it is not to be traced apart.
        ours = promote is promote_dtype and conv is lax.conv_general_dilated
        run = _convolve_compiled if ours else convolve
        options = ConvOptions(
            rank,
            self.strides,
            self.padding,
            self.input_dilation,
            self.kernel_dilation,
            self.feature_group_count,
            self.dtype,
            self.precision,
            self.preferred_element_type,
            out_sharding,
            self.output_dtype,
        )
        kernel, mask = value_of(self, "kernel"), self.mask
        bias = value_of(self, "bias")
        out = run(inputs, kernel, bias, mask, promote, conv, options)
        if fits_nowhere(inputs, out, rank):
            raise kernel_error(self, inputs, self.input_dilation)
        return out

    def _check_arguments(self) -> None:
        rank, groups = len(self.kernel_size), self.feature_group_count
        per_axis(self.kernel_size, rank, "kernel_size")
        for name in ("strides", "input_dilation", "kernel_dilation"):
            per_axis(getattr(self, name), rank, name)
        check_dilated_padding(
            canonicalize_padding(self.padding, rank),
            per_axis(self.input_dilation, rank, "input_dilation"),
        )
        for name in ("in_features", "out_features"):
            if getattr(self, name) % groups:
                raise ArgumentValueError(
                    f"{name}={getattr(self, name)} of a Conv cannot be divided into "
                    f"feature_group_count={groups} groups",
                    remedy=f"make {name} a multiple of {groups}.",
                )
        self._check_mask()

    def _check_mask(self) -> None:
        if self.mask is not None and self.mask.shape != self.kernel_shape:
            raise ShapeError(
                f"The mask of a Conv has shape {self.mask.shape}, but its kernel has "
                f"shape {self.kernel_shape}",
                where=module_path(self),
                remedy=f"pass a mask of shape {self.kernel_shape}.",
            )

    def _input_error(self, inputs: jax.Array) -> ShapeError:
        rank = len(self.kernel_size)
        if inputs.ndim > rank:
            return size_error(
                self,
                inputs,
                axis=-1,
                expected=self.in_features,
                got=inputs.shape[-1],
                argument="in_features",
            )
        return ShapeError(
            f"Conv with kernel_size={self.kernel_size} expects {rank} spatial axes and "
            f"one of channels, but the input has shape {inputs.shape}",
            where=module_path(self),
            remedy=f"pass an input of rank {rank + 1} or more: "
            f"(*batch, *spatial, {self.in_features}).",
        )
