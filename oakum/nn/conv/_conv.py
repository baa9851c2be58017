"""Conv: convolution over any number of spatial axes, channels last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Unpack

import jax
from jax import lax

from ..._arguments import with_arguments_of
from .._compute import Settings, add_bias, compute
from .._params import plain, value_of
from ._convolution import Convolution, ConvolutionArguments
from ._kernel import (
    channels_last,
    check_groups,
    check_input,
    check_mask,
    masked,
    with_one_batch_axis,
)
from ._padding import (
    canonicalize_padding,
    check_dilated_padding,
    check_padding_mode,
    fits_nowhere,
    kernel_error,
    pad_inputs,
    per_axis,
)


class Window(NamedTuple):
    """How a kernel moves over its input, in the user's words; hashable."""

    rank: int
    strides: Any
    padding: Any
    input_dilation: Any
    kernel_dilation: Any
    feature_group_count: int
    padding_mode: str = "zeros"


def convolve(
    using: Settings,
    inputs: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    window: Window,
) -> jax.Array:
    """Convolves `(*batch, *spatial, channels)` with `kernel`, and adds `bias`."""
    rank = window.rank
    inputs, batch_shape = with_one_batch_axis(inputs, rank)
    kernel_dilation = per_axis(window.kernel_dilation, rank, "kernel_dilation")
    inputs, padding = pad_inputs(
        inputs,
        canonicalize_padding(window.padding, rank),
        kernel.shape[:rank],
        kernel_dilation,
        window.padding_mode,
    )
    out = using.multiply(
        inputs,
        kernel,
        per_axis(window.strides, rank, "strides"),
        padding,
        lhs_dilation=per_axis(window.input_dilation, rank, "input_dilation"),
        rhs_dilation=kernel_dilation,
        dimension_numbers=channels_last(rank),
        feature_group_count=window.feature_group_count,
    )
    out = add_bias(out, bias)
    return out.reshape(*batch_shape, *out.shape[1:])


class Conv(Convolution):
    """A convolution over the spatial axes of `(*batch, *spatial, in_features)`.

    Attributes: `kernel`, a Param of shape
    `(*kernel_size, in_features // feature_group_count, out_features)`; `bias`, a Param
    of shape `(out_features,)` or None.

    Args:
        strides: step along each spatial axis, or one int for all.
        padding: `'SAME'`, `'VALID'`, `'CIRCULAR'` (wraps around), `'REFLECT'`
            (mirrors), `'CAUSAL'` (one axis: only the past is seen), an int, or for
            each spatial axis an int or a pair `(low, high)`.
        input_dilation: spacing between the elements of the input along each spatial
            axis, or one int for all; a transposed convolution of that stride.
        kernel_dilation: spacing between the elements of the kernel, likewise.
        feature_group_count: number of groups into which the channels are divided;
            each output sees the inputs of its group alone.
        conv_general_dilated: function to convolve with, in place of that of `jax.lax`.
        padding_mode: what stands in padding that is given in numbers or as `'SAME'`:
            `'zeros'`, or the input again: `'circular'` (from the other end),
            `'reflect'` (mirrored at the last element) or `'replicate'` (that element).

    The other arguments are those of every convolution: `Convolution`.

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

    @with_arguments_of(Convolution.__init__)
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
        conv_general_dilated: Callable[..., jax.Array] = lax.conv_general_dilated,
        padding_mode: str = "zeros",
        **others: Unpack[ConvolutionArguments],
    ):
        self.padding_mode = padding_mode
        self.input_dilation = plain(input_dilation)
        self.kernel_dilation = plain(kernel_dilation)
        self.feature_group_count = plain(feature_group_count)
        self.conv_general_dilated = conv_general_dilated
        sizes = in_features, out_features, kernel_size, strides
        super().__init__(*sizes, padding=padding, **others)

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
        check_input(self, inputs)
        check_mask(self)
        window = Window(
            rank,
            self.strides,
            self.padding,
            self.input_dilation,
            self.kernel_dilation,
            self.feature_group_count,
            getattr(self, "padding_mode", "zeros"),
        )
        out = compute(
            convolve,
            self,
            inputs,
            masked(value_of(self, "kernel"), self.mask),
            value_of(self, "bias"),
            options=(window,),
            product=self.conv_general_dilated,
            out_sharding=out_sharding,
        )
        if fits_nowhere(inputs, out, rank):
            raise kernel_error(self, inputs, self.input_dilation)
        return out

    def _channels(self) -> tuple[int, int]:
        return self.in_features // self.feature_group_count, self.out_features

    def _check_window(self) -> None:
        rank = len(self.kernel_size)
        for name in ("strides", "input_dilation", "kernel_dilation"):
            per_axis(getattr(self, name), rank, name)
        padding = canonicalize_padding(self.padding, rank)
        dilation = per_axis(self.input_dilation, rank, "input_dilation")
        check_dilated_padding(padding, dilation)
        check_padding_mode(self.padding_mode, padding, dilation)
        check_groups(self)
