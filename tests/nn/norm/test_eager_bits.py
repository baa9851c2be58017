"""Called outside of a trace, BatchNorm has the bits of flax.nnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.nn.peer import flax_nnx, lenient

pytestmark = pytest.mark.peer

SHAPES = [(1, 2, 3, 5), (4, 7), (8, 16)]
OPTIONS = {
    "plain": {},
    "inits": {
        "scale_init": jax.nn.initializers.normal(1.0),
        "bias_init": jax.nn.initializers.normal(1.0),
    },
    "slow-variance": {"use_fast_variance": False},
    "bfloat16": {"dtype": jnp.bfloat16},
    "average": {"use_running_average": True},
    "no-scale": {"use_scale": False, "momentum": 0.9},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_eager_batch_norm_is_that_of_flax_to_the_last_bit(name):
    for seed, shape in enumerate(SHAPES):
        x = 3 * jax.random.normal(jax.random.key(seed), shape) + 1
        results = []
        for nnx in (flax_nnx, oakum):
            with lenient():
                norm = nnx.BatchNorm(shape[-1], rngs=nnx.Rngs(seed), **OPTIONS[name])
                out = norm(x), norm(x + 1), norm.mean.get_value(), norm.var.get_value()
            results.append(out)
        for expected, got in zip(*results, strict=True):
            np.testing.assert_array_equal(got, expected)
