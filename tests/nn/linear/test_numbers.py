"""Sizes and axes may be numbers, NumPy arrays or sequences."""

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

AXES = [(1, 2), [1, 2], np.array([1, 2]), (np.int64(-2), -1)]


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_axes_of_a_linear_general(axis):
    layer = nnx.LinearGeneral((2, 3), 4, axis=axis, rngs=nnx.Rngs(0))
    assert layer(jnp.ones((5, 2, 3))).shape == (5, 4)
    assert all(type(a) is int for a in layer.axis)


@pytest.mark.parametrize("shape", [4, (4,), [4], np.int32(4), np.array([4])], ids=str)
def test_the_bias_shape_of_an_einsum(shape):
    layer = nnx.Einsum("ab,bc->ac", (3, 4), shape, rngs=nnx.Rngs(0))
    assert layer.bias_shape == (4,)
    assert layer(jnp.ones((2, 3))).shape == (2, 4)
