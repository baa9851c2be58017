"""ConvTranspose: a convolution that spreads each element of its input out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jax import lax

from ..._arguments import with_arguments_of
from ...errors import ArgumentValueError
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
from ._padding import Pairs, canonicalize_padding, fits_nowhere, kernel_error, per_axis


class TransposedWindow(NamedTuple):
    """How a kernel is spread over the output; hashable."""

    strides: tuple[int, ...]
    padding: str | Pairs
    kernel_dilation: tuple[int, ...]
    transpose_kernel: bool
    feature_group_count: int = 1


def convolve_transposed(
    using: Settings,
    inputs: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    window: TransposedWindow,
) -> jax.Array:
    """The transposed convolution of `(*batch, *spatial, channels)`, and `bias`."""
    strides, padding, kernel_dilation, mirrored, groups = window
    rank = len(strides)
    inputs, batch_shape = with_one_batch_axis(inputs, rank)
    wraps = padding == "CIRCULAR"
    amounts = "VALID" if wraps else padding
    if groups == 1:
        out = using.multiply(
            inputs,
            kernel,
            strides,
            amounts,
            rhs_dilation=kernel_dilation,
            dimension_numbers=channels_last(rank),
            transpose_kernel=mirrored,
        )
    else:
        out = using.multiply(
            inputs,
            _swapped(kernel, groups) if mirrored else kernel,
            (1,) * rank,
            _amounts(amounts, kernel.shape, strides, kernel_dilation),
            lhs_dilation=strides,
            rhs_dilation=kernel_dilation,
            dimension_numbers=channels_last(rank),
            feature_group_count=groups,
        )
    if wraps:
        for axis, stride in enumerate(strides, 1):
            out = wrap_around(out, axis, inputs.shape[axis] * stride, mirrored)
    out = add_bias(out, bias)
    return out.reshape(*batch_shape, *out.shape[1:])


def _swapped(kernel: jax.Array, groups: int) -> jax.Array:
    """From `(*spatial, out / groups, in)`, and its spatial axes reversed."""
    *spatial, out, size = kernel.shape
    apart = kernel.reshape(*spatial, out, groups, size // groups)
    swapped = jnp.moveaxis(apart, -1, -3)  # (*spatial, in / groups, out / groups, g)
    swapped = jnp.swapaxes(swapped, -1, -2).reshape(
        *spatial, size // groups, groups * out
    )
    return jnp.flip(swapped, range(len(spatial)))


def _amounts(
    padding: str | Pairs,
    kernel_shape: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> str | Pairs:
    """The padding of the spread-out input that `lax.conv_transpose` has for a word."""
    if not isinstance(padding, str) or padding == "SAME_LOWER":
        return padding
    pairs = []
    for size, stride, apart in zip(kernel_shape, strides, dilation, strict=False):
        reach = apart * (size - 1)
        if padding == "VALID":
            low, high = reach, max(reach, stride - 1)
        else:
            whole = reach + stride - 1
            low = reach if stride > reach else -(-whole // 2)
            high = whole - low
        pairs.append((low, high))
    return tuple(pairs)


def wrap_around(x: jax.Array, axis: int, period: int, mirrored: bool) -> jax.Array:
    """Adds up the elements of `x` that lie `period` apart along an axis.

    `x` is taken to reach as far beyond the period on its left as on its right. Where
    that leaves one element over, it is on the right, or on the left with `mirrored`.
    """
    # An odd number of periods, the middle one of which is the result.
    missing = (period - x.shape[axis]) % (2 * period)
    low, high = missing // 2, missing - missing // 2
    if not mirrored:
        low, high = high, low
    pads = [(0, 0)] * x.ndim
    pads[axis] = (low, high)
    x = jnp.pad(x, pads)
    x = x.reshape(*x.shape[:axis], -1, period, *x.shape[axis + 1 :])
    return x.sum(axis)


class ConvTranspose(Convolution):
    """A transposed convolution over the spatial axes, which strides make larger.

    Dumoulin, Visin: A guide to convolution arithmetic for deep learning,
    https://arxiv.org/abs/1603.07285, 2016.

    Attributes: `kernel`, a Param of shape `(*kernel_size, in_features, out_features)`,
    the last two swapped with `transpose_kernel`; `bias`, a Param of shape
    `(out_features,)` or None.

    Args:
        strides: factor by which each spatial axis grows, or one for all; None is 1.
        padding: `'SAME'` (the output is `strides` times as large), `'VALID'` (every
            element that the kernel reaches), `'CIRCULAR'` (what reaches beyond an edge
            is added at the other), or an int, or for each spatial axis an int or a
            pair `(low, high)`: zeros put around the spread-out input. PyTorch counts
            from the other end: its `p` is `dilation * (kernel_size - 1) - p` here.
        kernel_dilation: spacing between the elements of the kernel along each spatial
            axis, or one for all; None is 1.
        transpose_kernel: whether to flip the kernel and swap its channels, for the
            exact transpose of a Conv with the same kernel.
        feature_group_count: number of groups into which the channels are divided; each
            output sees the inputs of its group alone. The kernel then has `in_features
            // feature_group_count`, or with `transpose_kernel` of `out_features`.

    The other arguments are those of every convolution: `Convolution`.

    Raises:
        ArgumentValueError: a padding, strides or dilation that do not fit.
        ShapeError: a mask that has not the shape of the kernel.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.ConvTranspose(3, 4, (3, 3), strides=2, rngs=nnx.Rngs(0))
        >>> layer.kernel.shape, layer(jnp.ones((1, 8, 8, 3))).shape
        ((3, 3, 3, 4), (1, 16, 16, 4))
    """

    @with_arguments_of(Convolution.__init__)
    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        *,
        padding: Any = "SAME",
        kernel_dilation: int | Sequence[int] | None = None,
        transpose_kernel: bool = False,
        feature_group_count: int = 1,
        **others: Unpack[ConvolutionArguments],
    ):
        self.kernel_dilation = plain(kernel_dilation)
        self.transpose_kernel = transpose_kernel
        self.feature_group_count = plain(feature_group_count)
        sizes = in_features, out_features, kernel_size, strides
        super().__init__(*sizes, padding=padding, **others)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Applies the transposed convolution.

        Args:
            inputs: `(*batch, *spatial, in_features)`, with any number of batch axes,
                none included.

        Returns:
            An array of shape `(*batch, *spatial, out_features)`, the spatial axes
            `strides` times as large with padding `'SAME'` and `'CIRCULAR'`.

        Raises:
            ShapeError: the last axis is not `in_features`, an axis is missing, or the
                kernel is larger than the padded input.
        """
        rank = len(self.kernel_size)
        check_input(self, inputs)
        check_mask(self)
        window = _window(self)
        out = compute(
            convolve_transposed,
            self,
            inputs,
            masked(value_of(self, "kernel"), self.mask),
            value_of(self, "bias"),
            options=(window,),
            # The first knows of no groups.
            product=lax.conv_transpose
            if window.feature_group_count == 1
            else lax.conv_general_dilated,
        )
        if fits_nowhere(inputs, out, rank):
            raise kernel_error(self, inputs, self.strides)
        return out

    def _channels(self) -> tuple[int, int]:
        sizes = self.in_features, self.out_features
        inner, outer = sizes[::-1] if self.transpose_kernel else sizes
        return inner // self.feature_group_count, outer

    def _check_window(self) -> None:
        check_groups(self)
        _window(self)


def _window(layer: ConvTranspose) -> TransposedWindow:
    rank = len(layer.kernel_size)
    strides = per_axis(layer.strides, rank, "strides")
    padding = canonicalize_padding(layer.padding, rank)
    spread = isinstance(padding, str) and set(strides) != {1}
    if padding in ("CAUSAL", "REFLECT") or (padding == "SAME_LOWER" and spread):
        raise ArgumentValueError(
            f"padding={padding!r} has no meaning for a ConvTranspose with "
            f"strides={strides}",
            remedy="pass 'SAME', 'VALID', 'CIRCULAR', or the amounts, as in "
            "padding=1 or padding=((1, 1), (0, 2)).",
        )
    dilation = per_axis(layer.kernel_dilation, rank, "kernel_dilation")
    groups = getattr(layer, "feature_group_count", 1)
    mirrored = layer.transpose_kernel
    return TransposedWindow(strides, padding, dilation, mirrored, groups)
