"""InstanceNorm: normalization of each channel of each example on its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import module_path
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentValueError
from .. import initializers
from .._compute import compute
from .._dtypes import PromoteDtype, promote_dtype
from .._params import plain, value_of
from ._checks import check_features, check_mask
from ._layer_norm import layer_norm
from ._norm import Norm
from ._normalize import Axes, canonicalize_axes, norm_options


class InstanceNorm(Norm):
    """Normalizes each channel of each example by its mean and variance.

    Ulyanov, Vedaldi, Lempitsky: Instance Normalization,
    https://arxiv.org/abs/1607.08022, 2016. A LayerNorm over all axes but the first and
    those of the features.

    Attributes: `scale` and `bias`, each a Param of shape `(num_features,)` or None.

    Args:
        feature_axes: axes along which scale and bias vary, without the first.

    The other arguments are those of every normalization: `Norm`.

    Raises:
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.InstanceNorm(2)
        >>> layer(jnp.array([[[1.0, 10.0], [3.0, 30.0]]])).round(3)
        Array([[[-1., -1.], [ 1.,  1.]]], dtype=float32)
    """

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = initializers.zeros,
        scale_init: Initializer = initializers.ones,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        scale_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        super().__init__(
            num_features,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_bias=use_bias,
            use_scale=use_scale,
            bias_init=bias_init,
            scale_init=scale_init,
            axis_name=axis_name,
            axis_index_groups=axis_index_groups,
            use_fast_variance=use_fast_variance,
            promote_dtype=promote_dtype,
            rngs=rngs,
            bias_metadata=bias_metadata,
            scale_metadata=scale_metadata,
        )
        self.feature_axes = plain(feature_axes)

    def __call__(self, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
        """Normalizes the input.

        Args:
            x: `(batch, ..., num_features)`, with the default axes.
            mask: `bool`, which elements count for the statistics; broadcastable to `x`.

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
