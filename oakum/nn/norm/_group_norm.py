"""GroupNorm: normalization of each example over groups of channels."""

from __future__ import annotations

from typing import Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._objects import module_path
from ...errors import ArgumentValueError
from .._compute import Settings, compute
from .._params import check_last_axis, plain, value_of
from ._checks import check_mask, check_reduction
from ._norm import Norm, NormArguments
from ._normalize import (
    Axes,
    NormOptions,
    canonicalize_axes,
    mean_and_variance,
    norm_options,
    normalize,
)


def group_norm(
    using: Settings,
    x: jax.Array,
    scale: jax.Array | None,
    bias: jax.Array | None,
    mask: jax.Array | None,
    num_groups: int,
    options: NormOptions,
) -> jax.Array:
    """Normalizes by mean and variance over groups of channels.

    The reduction axes of `options` are those of `x`, the last among them.
    """
    size = x.shape[-1] // num_groups
    grouped = x.reshape(*x.shape[:-1], num_groups, size)
    if mask is not None:
        own = (1, 1) if mask.shape[-1] == 1 else (num_groups, size)
        mask = mask.reshape(*mask.shape[:-1], *own)
    last = x.ndim - 1
    axes = canonicalize_axes(options.reduction_axes, x.ndim)
    # The channel axis has become two, and the second of them is reduced.
    grouped_axes = tuple(axis + 1 if axis == last else axis for axis in axes)
    stats = mean_and_variance(
        using, grouped, mask, options._replace(reduction_axes=grouped_axes)
    )  # (..., num_groups, 1), twice
    mean, variance = (
        jnp.repeat(stat.squeeze(-1), size, axis=-1) for stat in stats
    )  # (..., channels)
    return normalize(using, x, mean, variance, scale, bias, options)


class GroupNorm(Norm):
    """Normalizes each example by the mean and variance of groups of its channels.

    Wu, He: Group Normalization, https://arxiv.org/abs/1803.08494, 2018.

    Attributes: `scale` and `bias`, each a Param of shape `(num_features,)` or None.

    Args:
        num_groups: number of groups of channels; 32 is that of the paper.
        group_size: channels of a group, with `num_groups=None`.
        reduction_axes: axes to take statistics over, the last among them; None takes
            all but the first.

    The other arguments are those of every normalization: `Norm`.

    Raises:
        ArgumentValueError: both or neither of `num_groups` and `group_size`, one that
            does not divide `num_features`, or `reduction_axes` without the last.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.GroupNorm(4, num_groups=2)
        >>> layer(jnp.array([[1.0, 3.0, 10.0, 30.0]])).round(3)
        Array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    @with_arguments_of(Norm.__init__)
    def __init__(
        self,
        num_features: int,
        num_groups: int | None = 32,
        group_size: int | None = None,
        *,
        epsilon: float = 1e-6,
        reduction_axes: Axes | None = None,
        **others: Unpack[NormArguments],
    ):
        sizes = map(plain, (num_features, num_groups, group_size))
        self.num_groups = _count_groups(*sizes)
        self.group_size = plain(num_features) // self.num_groups
        super().__init__(num_features, epsilon=epsilon, **others)
        self.feature_axis = -1
        self.reduction_axes = plain(reduction_axes)

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes the input.

        Args:
            x: `(batch, ..., num_features)`.
            mask: `bool`, which elements count for the statistics: of as many axes as
                `x`, the last of size `num_features` or 1.

        Returns:
            An array of the shape of `x`.

        Raises:
            ShapeError: the last axis is not `num_features`.
        """
        num_features = self.num_groups * self.group_size
        check_last_axis(self, x, num_features, "num_features")
        check_reduction(self, x)
        check_mask(self, x, mask)
        options = norm_options(self, _reduction_axes(self, x.ndim), -1)
        return compute(
            group_norm,
            self,
            x,
            value_of(self, "scale"),
            value_of(self, "bias"),
            others=(mask,),
            options=(self.num_groups, options),
        )


def _reduction_axes(layer: GroupNorm, ndim: int) -> tuple[int, ...]:
    if layer.reduction_axes is None:
        return (*range(1, ndim - 1), ndim - 1)
    axes = canonicalize_axes(layer.reduction_axes, ndim)
    if ndim - 1 not in axes:
        raise ArgumentValueError(
            f"reduction_axes={layer.reduction_axes} of a GroupNorm lack the last "
            f"axis, that of the channels, for an input of rank {ndim}",
            where=module_path(layer),
            remedy=f"pass reduction_axes={(*axes, -1)}.",
        )
    return axes


def _count_groups(features: int, groups: int | None, size: int | None) -> int:
    if (groups is None) == (size is None):
        raise ArgumentValueError(
            f"GroupNorm takes one of num_groups={groups} and group_size={size}",
            remedy="pass num_groups=8, or num_groups=None and group_size=8.",
        )
    name, number = ("num_groups", groups) if size is None else ("group_size", size)
    if number is None or number <= 0 or features % number:
        raise ArgumentValueError(
            f"{name}={number} of a GroupNorm does not divide num_features={features}",
            remedy=f"pass a divisor of {features} as {name}.",
        )
    return number if size is None else features // number
