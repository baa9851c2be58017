"""Activations: the functions of `jax.nn` under the names of flax.nnx, and PReLU.

The functions are re-exported, not wrapped: `oakum.relu is jax.nn.relu`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import celu as celu
from jax.nn import elu as elu
from jax.nn import gelu as gelu
from jax.nn import glu as glu
from jax.nn import hard_sigmoid as hard_sigmoid
from jax.nn import hard_silu as hard_silu
from jax.nn import hard_swish as hard_swish
from jax.nn import hard_tanh as hard_tanh
from jax.nn import identity as identity
from jax.nn import leaky_relu as leaky_relu
from jax.nn import log_sigmoid as log_sigmoid
from jax.nn import log_softmax as log_softmax
from jax.nn import logsumexp as logsumexp
from jax.nn import one_hot as one_hot
from jax.nn import relu as relu
from jax.nn import relu6 as relu6
from jax.nn import selu as selu
from jax.nn import sigmoid as sigmoid
from jax.nn import silu as silu
from jax.nn import soft_sign as soft_sign
from jax.nn import softmax as softmax
from jax.nn import softplus as softplus
from jax.nn import standardize as standardize
from jax.nn import swish as swish
from jax.numpy import tanh as tanh

from .._objects import Module, Param, module_path
from .._typing import Dtype
from ..errors import ArgumentValueError
from ._dtypes import PromoteDtype, as_output, promote_dtype
from ._params import plain, size_error, value_of


def quick_gelu(x: jax.Array) -> jax.Array:
    """`x * sigmoid(1.702 * x)`, the form of GELU that CLIP computes with.

    Hendrycks, Gimpel: Gaussian Error Linear Units, https://arxiv.org/abs/1606.08415,
    2016; it is up to 0.02 off the others, `gelu(x, approximate=True or False)`.

    Args:
        x: any shape, inexact.

    Returns:
        An array of the shape of `x`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.quick_gelu(jnp.array([-1.0, 0.0, 1.0])).round(4)
        Array([-0.1542,  0.    ,  0.8458], dtype=float32)
    """
    return x * sigmoid(1.702 * x)


class PReLU(Module):
    """A rectifier whose slope below zero is learned.

    He, Zhang, Ren, Sun: Delving Deep into Rectifiers,
    https://arxiv.org/abs/1502.01852, 2015. The paper tries both: one slope for all
    channels, as here by default, and one for each.

    Args:
        negative_slope_init: the slope to start from.
        dtype: dtype of the computation; `None` takes that of the input.
        param_dtype: dtype of the slope.
        promote_dtype: casts `(inputs, negative_slope)` where `dtype` is given.
        negative_slope_metadata: metadata of the Param.
        num_features: size of the last axis of the input, for a slope of each channel;
            None is one slope for all.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.PReLU(0.5)(jnp.array([-2.0, 3.0]))
        Array([-1.,  3.], dtype=float32)
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        negative_slope_init: float = 0.01,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        promote_dtype: PromoteDtype = promote_dtype,
        negative_slope_metadata: Mapping[str, Any] = MappingProxyType({}),
        num_features: int | None = None,
    ):
        shape = () if num_features is None else (plain(num_features),)
        slope = jnp.full(shape, negative_slope_init, param_dtype)
        self.negative_slope = Param(slope, **negative_slope_metadata)
        self.dtype = dtype
        self.param_dtype = param_dtype
        self.promote_dtype = promote_dtype

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Applies the rectifier.

        Args:
            inputs: any shape, inexact.

        Returns:
            An array of the shape of `inputs`.

        Raises:
            ArgumentValueError: `inputs` are integers, and no `dtype` is given.
            ShapeError: the last axis is not `num_features`.
        """
        slope = value_of(self, "negative_slope")
        if slope.ndim and slope.shape != inputs.shape[-1:]:
            raise size_error(
                self,
                inputs,
                axis=-1,
                expected=slope.shape[-1],
                got=inputs.shape[-1] if inputs.ndim else None,
                argument="num_features",
            )
        if self.dtype is None:
            if not jnp.issubdtype(inputs.dtype, jnp.inexact):
                raise ArgumentValueError(
                    f"PReLU scales floating-point numbers, but the input has dtype "
                    f"{inputs.dtype}",
                    where=module_path(self),
                    remedy="pass layer(x.astype(jnp.float32)), or dtype=jnp.float32 to "
                    "the constructor.",
                )
            slope = jnp.asarray(slope, inputs.dtype)
        else:
            inputs, slope = self.promote_dtype((inputs, slope), dtype=self.dtype)
        if slope.ndim:
            slope = slope.reshape((1,) * (inputs.ndim - 1) + slope.shape)
        out = jnp.where(inputs >= 0, inputs, slope * inputs)
        return as_output(out, getattr(self, "output_dtype", None))
