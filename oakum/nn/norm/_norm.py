"""Base of the normalizations of activations that have a scale and a bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from .._dtypes import PromoteDtype
from .._params import param_maker, plain
from ._normalize import groups_as_tuples


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
        dtype: Dtype | None,
        param_dtype: Dtype,
        use_bias: bool,
        use_scale: bool,
        bias_init: Initializer,
        scale_init: Initializer,
        axis_name: str | None,
        axis_index_groups: Any,
        use_fast_variance: bool,
        promote_dtype: PromoteDtype,
        rngs: Rngs | None,
        bias_metadata: Mapping[str, Any],
        scale_metadata: Mapping[str, Any],
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
