"""Base of the normalizations of activations that have a scale and a bias."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypedDict

import jax.numpy as jnp

from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .. import initializers
from .._dtypes import PromoteDtype, promote_dtype
from .._params import param_maker, plain
from ._normalize import groups_as_tuples


class NormArguments(TypedDict, total=False):
    """What each normalization hands on to `Norm`, which documents it."""

    dtype: Dtype | None
    param_dtype: Dtype
    promote_dtype: PromoteDtype
    use_bias: bool
    bias_init: Initializer
    bias_metadata: Mapping[str, Any]
    use_scale: bool
    scale_init: Initializer
    scale_metadata: Mapping[str, Any]
    rngs: Rngs | None
    use_fast_variance: bool
    axis_name: str | None
    axis_index_groups: Any


class Norm(Module):
    """Base of BatchNorm, GroupNorm, InstanceNorm and LayerNorm: what all of them take.

    Attributes: `scale` and `bias`, each a Param of shape `(num_features,)` or None.
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = initializers.zeros,
        scale_init: Initializer = initializers.ones,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        bias_metadata: Mapping[str, Any] = MappingProxyType({}),
        scale_metadata: Mapping[str, Any] = MappingProxyType({}),
    ):
        """Makes the layer.

        Args:
            num_features: number of channels, or of elements of the feature axes.
            epsilon: added to the variance, so that a constant input does not divide by
                0.
            dtype: dtype of the output; None infers it from input, parameters, and the
                statistics of a BatchNorm.
            param_dtype: dtype of the parameters.
            use_bias: whether to add a bias.
            use_scale: whether to multiply with a scale; a linear layer that comes next
                makes it superfluous.
            bias_init: initializer of the bias.
            scale_init: initializer of the scale.
            axis_name: name of a mapped axis over which to take statistics too.
            axis_index_groups: parts of that axis to keep apart.
            use_fast_variance: whether to take mean and variance in one pass: faster,
                but less precise where the mean is large.
            promote_dtype: casts `(inputs, scale, bias)`, where a BatchNorm has
                `(inputs, mean, var, scale, bias)`.
            rngs: needed only for an initializer that draws.
            bias_metadata: metadata of the bias.
            scale_metadata: metadata of the scale.

        Raises:
            MissingRngError: no `rngs` for an initializer that draws.
        """
        make = param_maker(self, rngs, param_dtype)
        self.scale = self.bias = None
        if use_scale:
            self.scale = make("scale", scale_init, (num_features,), scale_metadata)
        if use_bias:
            self.bias = make("bias", bias_init, (num_features,), bias_metadata)
        self.num_features, self.epsilon = plain(num_features), plain(epsilon)
        self.dtype, self.param_dtype = dtype, param_dtype
        self.use_bias, self.use_scale = use_bias, use_scale
        self.axis_name = axis_name
        self.axis_index_groups = groups_as_tuples(axis_index_groups)
        self.use_fast_variance = use_fast_variance
        self.promote_dtype = promote_dtype
