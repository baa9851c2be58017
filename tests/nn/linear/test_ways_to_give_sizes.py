"""Sizes and axes may be given as NumPy arrays, and one size alone."""

import jax.numpy as jnp
import numpy as np

import oakum as nnx

RNGS = nnx.Rngs(0)


def test_axes_may_be_an_array():
    layer = nnx.LinearGeneral((2, 3), 4, axis=np.array([-2, -1]), rngs=RNGS)
    assert layer.axis == (-2, -1)
    assert layer(jnp.ones((5, 2, 3))).shape == (5, 4)


def test_features_may_be_an_array():
    layer = nnx.LinearGeneral(3, np.array([2, 4]), rngs=RNGS)
    assert layer(jnp.ones((5, 3))).shape == (5, 2, 4)


def test_the_bias_of_an_einsum_may_have_one_size():
    layer = nnx.Einsum("ab,bc->ac", (3, 4), 4, rngs=RNGS)
    assert layer.bias is not None
    assert layer.bias.shape == (4,)
    assert layer(jnp.ones((5, 3))).shape == (5, 4)
