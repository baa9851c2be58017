"""LayerNorm and RMSNorm: normalization of each example on its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Unpack

import jax
import jax.numpy as jnp

from ..._arguments import with_arguments_of
from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._compute import Settings, compute
from .._dtypes import PromoteDtype, canonicalize_dtype, promote_dtype
from .._params import as_array, param_maker, plain, value_of
from ._checks import check_features, check_mask, check_reduction
from ._norm import Norm, NormArguments
from ._normalize import (
    Axes,
    NormOptions,
    at_least_float32,
    groups_as_tuples,
    mean_and_variance,
    mean_square,
    norm_options,
    normalize,
)


def layer_norm(
    using: Settings,
    x: jax.Array,
    scale: jax.Array | None,
    bias: jax.Array | None,
    mask: jax.Array | None,
    options: NormOptions,
    offset: float = 0.0,
) -> jax.Array:
    """Normalizes by mean and variance."""
    using, scale = _with_offset(using, x, scale, bias, offset)
    mean, variance = mean_and_variance(using, x, mask, options)
    return normalize(using, x, mean, variance, scale, bias, options)


def rms_norm(
    using: Settings,
    x: jax.Array,
    scale: jax.Array | None,
    mask: jax.Array | None,
    options: NormOptions,
    offset: float = 0.0,
) -> jax.Array:
    """Normalizes by the root of the mean square."""
    using, scale = _with_offset(using, x, scale, None, offset)
    square = mean_square(using, x, mask, options)
    return normalize(using, x, None, square, scale, None, options)


def _with_offset(
    using: Settings,
    x: jax.Array,
    scale: jax.Array | None,
    bias: jax.Array | None,
    offset: float,
) -> tuple[Settings, jax.Array | None]:
    """The scale that is meant, and the settings that keep the dtype of the output."""
    if not offset or scale is None:
        return using, scale
    # Added in float32: half precision has 1 + w to three digits at most.
    dtype = canonicalize_dtype(x, scale, bias, dtype=using.dtype)
    using = using._replace(output_dtype=using.output_dtype or dtype)
    return using, at_least_float32(scale) + offset


class LayerNorm(Norm):
    """Normalizes each example by the mean and variance of its features.

    Ba, Kiros, Hinton: Layer Normalization, https://arxiv.org/abs/1607.06450, 2016.

    Attributes: `scale` and `bias`, each a Param of shape `(num_features,)` or None.

    Args:
        reduction_axes: axes to take statistics over.
        feature_axes: axes along which scale and bias vary.
        offset: what is added to the scale, such as 1 in the models of Nemotron, which
            keep the difference from 1. `scale_init` is of the sum of both.

    The other arguments, and what is raised, are those of every normalization: `Norm`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.LayerNorm(2)
        >>> layer(jnp.array([[1.0, 3.0]])).round(3)
        Array([[-1.,  1.]], dtype=float32)
    """

    @with_arguments_of(Norm.__init__)
    def __init__(
        self,
        num_features: int,
        *,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        epsilon: float = 1e-6,
        offset: float = 0.0,
        **others: Unpack[NormArguments],
    ):
        self.offset = plain(offset)
        if offset:
            initializer = others.get("scale_init", initializers.ones)
            others["scale_init"] = _less(initializer, offset)
        super().__init__(num_features, epsilon=epsilon, **others)
        self.reduction_axes = plain(reduction_axes)
        self.feature_axes = plain(feature_axes)

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes the input.

        Args:
            x: `(..., num_features)`, with the default axes.
            mask: `bool`, which elements count for the statistics; broadcastable to `x`.

        Returns:
            An array of the shape of `x`.

        Raises:
            ShapeError: the feature axes do not have `num_features` elements, a
                reduction axis is missing, or the mask does not fit.
        """
        x = as_array(x)
        check_features(self, x)
        check_reduction(self, x)
        check_mask(self, x, mask)
        scale, bias = value_of(self, "scale"), value_of(self, "bias")
        options = norm_options(self, self.reduction_axes, self.feature_axes)
        given = (options, getattr(self, "offset", 0.0))
        return compute(layer_norm, self, x, scale, bias, others=(mask,), options=given)


class RMSNorm(Module):
    """Normalizes each example by the root mean square of its features.

    Zhang, Sennrich: Root Mean Square Layer Normalization,
    https://arxiv.org/abs/1910.07467, 2019.

    Attributes: `scale`, a Param of shape `(num_features,)` or None.

    Args:
        num_features: number of elements of the feature axes of the input.
        epsilon: added to the mean square, so that an input of 0 does not divide by 0.
        dtype: dtype of the output; None infers it from input and parameters.
        param_dtype: dtype of the scale.
        use_scale: whether to multiply with a scale.
        scale_init: initializer of the scale.
        reduction_axes: axes to take statistics over.
        feature_axes: axes along which the scale varies.
        axis_name: name of a mapped axis over which the features are spread.
        axis_index_groups: parts of that axis to keep apart.
        use_fast_variance: as in LayerNorm; without effect, as no mean is subtracted.
        promote_dtype: casts `(inputs, scale)`.
        rngs: needed only for an initializer that draws.
        scale_metadata: metadata of the scale.
        offset: what is added to the scale, such as 1 in the models of Gemma, which
            keep the difference from 1. `scale_init` is of the sum of both.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.RMSNorm(2)
        >>> layer(jnp.array([[2.0, -2.0]])).round(3)
        Array([[ 1., -1.]], dtype=float32)
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_scale: bool = True,
        scale_init: Initializer = initializers.ones,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        scale_metadata: Mapping[str, Any] = MappingProxyType({}),
        offset: float = 0.0,
    ):
        self.scale = None
        self.offset = plain(offset)
        if offset:
            scale_init = _less(scale_init, offset)
        if use_scale:
            make = param_maker(self, rngs, param_dtype)
            self.scale = make("scale", scale_init, (num_features,), scale_metadata)
        self.num_features, self.epsilon = plain(num_features), plain(epsilon)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.use_scale = use_scale
        self.reduction_axes = plain(reduction_axes)
        self.feature_axes = plain(feature_axes)
        self.axis_name = axis_name
        self.axis_index_groups = groups_as_tuples(axis_index_groups)
        self.use_fast_variance = use_fast_variance
        self.promote_dtype = promote_dtype

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes the input.

        Args:
            x, mask: as for a LayerNorm.

        Returns:
            An array of the shape of `x`.

        Raises:
            ShapeError: the input or the mask does not fit, as for a LayerNorm.
        """
        x = as_array(x)
        check_features(self, x)
        check_reduction(self, x)
        check_mask(self, x, mask)
        scale = value_of(self, "scale")
        options = norm_options(self, self.reduction_axes, self.feature_axes)
        given = (options, getattr(self, "offset", 0.0))
        return compute(rms_norm, self, x, scale, others=(mask,), options=given)


def _less(initializer: Initializer, offset: float) -> Initializer:
    """An initializer of values that are less by `offset`."""

    def init(*args: Any, **kwargs: Any) -> Any:
        return initializer(*args, **kwargs) - offset

    return init
