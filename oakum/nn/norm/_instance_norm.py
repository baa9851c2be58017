"""InstanceNorm: normalization of each channel of each example on its own."""

from __future__ import annotations

from typing import Unpack

import jax

from ..._arguments import with_arguments_of
from ..._objects import module_path
from ...errors import ArgumentValueError
from .._compute import compute
from .._params import plain, value_of
from ._checks import check_features, check_mask
from ._layer_norm import layer_norm
from ._norm import Norm, NormArguments
from ._normalize import Axes, canonicalize_axes, norm_options


class InstanceNorm(Norm):
    """Normalizes each channel of each example by its mean and variance.

    Ulyanov, Vedaldi, Lempitsky: Instance Normalization,
    https://arxiv.org/abs/1607.08022, 2016. A LayerNorm over all axes but the first and
    those of the features.

    Attributes: `scale` and `bias`, each a Param of shape `(num_features,)` or None.

    Args:
        feature_axes: axes along which scale and bias vary, without the first.

    The other arguments, and what is raised, are those of every normalization: `Norm`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.InstanceNorm(2)
        >>> layer(jnp.array([[[1.0, 10.0], [3.0, 30.0]]])).round(3)
        Array([[[-1., -1.], [ 1.,  1.]]], dtype=float32)
    """

    @with_arguments_of(Norm.__init__)
    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        feature_axes: Axes = -1,
        **others: Unpack[NormArguments],
    ):
        super().__init__(num_features, epsilon=epsilon, **others)
        self.feature_axes = plain(feature_axes)

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes the input.

        Args:
            x: `(batch, ..., num_features)`, with the default axes.
            mask: as for a LayerNorm.

        Returns:
            An array of the shape of `x`.

        Raises:
            ShapeError: the feature axes do not have `num_features` elements.
            ArgumentValueError: the first axis is one of the feature axes.
        """
        check_features(self, x)
        check_mask(self, x, mask)
        features = canonicalize_axes(self.feature_axes, x.ndim)
        if 0 in features:
            raise ArgumentValueError(
                f"InstanceNorm with feature_axes={self.feature_axes} takes the first "
                f"axis of an input of shape {x.shape} for features, but that is the "
                "batch",
                where=module_path(self),
                remedy="pass layer(x[None])[0] for a single example.",
            )
        scale, bias = value_of(self, "scale"), value_of(self, "bias")
        rest = tuple(axis for axis in range(1, x.ndim) if axis not in features)
        options = norm_options(self, rest, features)
        return compute(
            layer_norm, self, x, scale, bias, others=(mask,), options=(options,)
        )
