"""Functions that make the first value of a parameter, under the names of flax.nnx.

An *initializer* takes a random key, a shape and a dtype, and returns an array. Most
names here make one: `lecun_normal()(key, (3, 4), float32)`. They are those of
`jax.nn.initializers`; `zeros_init()` and `ones_init()` return `zeros` and `ones`, which
are initializers themselves and use no key.
"""

from __future__ import annotations

from jax.nn.initializers import Initializer as Initializer
from jax.nn.initializers import constant as constant
from jax.nn.initializers import delta_orthogonal as delta_orthogonal
from jax.nn.initializers import glorot_normal as glorot_normal
from jax.nn.initializers import glorot_uniform as glorot_uniform
from jax.nn.initializers import he_normal as he_normal
from jax.nn.initializers import he_uniform as he_uniform
from jax.nn.initializers import kaiming_normal as kaiming_normal
from jax.nn.initializers import kaiming_uniform as kaiming_uniform
from jax.nn.initializers import lecun_normal as lecun_normal
from jax.nn.initializers import lecun_uniform as lecun_uniform
from jax.nn.initializers import normal as normal
from jax.nn.initializers import ones as ones
from jax.nn.initializers import orthogonal as orthogonal
from jax.nn.initializers import truncated_normal as truncated_normal
from jax.nn.initializers import uniform as uniform
from jax.nn.initializers import variance_scaling as variance_scaling
from jax.nn.initializers import xavier_normal as xavier_normal
from jax.nn.initializers import xavier_uniform as xavier_uniform
from jax.nn.initializers import zeros as zeros

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "ones_init",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
    "zeros_init",
]


def zeros_init() -> Initializer:
    """Returns the initializer that fills with zeros.

    Returns:
        `zeros`, which ignores its key.

    Example:
        >>> import jax.numpy as jnp
        >>> from oakum.nn import initializers
        >>> initializers.zeros_init()(None, (2,), jnp.float32)
        Array([0., 0.], dtype=float32)
    """
    return zeros


def ones_init() -> Initializer:
    """Returns the initializer that fills with ones, which ignores its key.

    Example:
        >>> from oakum.nn.initializers import ones_init
        >>> ones_init()(None, (2,), 'float32').tolist()
        [1.0, 1.0]
    """
    return ones


default_kernel_init = lecun_normal()
default_bias_init = zeros
default_embed_init = variance_scaling(1.0, "fan_in", "normal", out_axis=0)
default_a_initializer = he_uniform()
default_b_initializer = zeros
"""What layers take where they are given no initializer, by the names of flax.nnx."""
