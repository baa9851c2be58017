"""WeightNorm and SpectralNorm compute with other parameters, and write none."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx

WRAPPERS = [nnx.WeightNorm, nnx.SpectralNorm]
X = jnp.linspace(-1.0, 1.0, 15).reshape(5, 3)


class Noted(nnx.Module):
    """A layer with statistics, randomness, a tied kernel, and what it sows."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.tied = {"kernel": self.linear.kernel}
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.calls = nnx.Variable(jnp.array(0))

    def __call__(self, x):
        self.calls.value += 1
        self.sow(nnx.Intermediate, "seen", x)
        x = self.linear(x) @ self.tied["kernel"]
        return self.dropout(self.norm(x))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_params_stay_and_all_other_state_is_that_of_the_call(wrapper, compiled):
    layer = Noted(nnx.Rngs(0))
    wrapped = wrapper(layer, rngs=nnx.Rngs(1))
    nnx.freeze(layer)
    before = jax.tree.map(np.asarray, nnx.state(layer, nnx.Param))
    mean = np.asarray(layer.norm.mean.value)
    call = nnx.jit(lambda m, x: m(x)) if compiled else (lambda m, x: m(x))
    first, second = call(wrapped, X), call(wrapped, X)
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(layer, nnx.Param))
    assert int(layer.calls.value) == 2
    assert not np.array_equal(first, second)  # another dropout mask
    assert not np.array_equal(layer.norm.mean.value, mean)
    assert len(layer.seen.value) >= 1
    assert layer.tied["kernel"] is layer.linear.kernel


def test_training_a_weight_norm_is_that_of_the_paper():
    layer = nnx.Linear(3, 2, use_bias=False, rngs=nnx.Rngs(0))
    wrapped = nnx.WeightNorm(layer, rngs=nnx.Rngs(1))
    optimizer = nnx.Optimizer(wrapped, optax.sgd(0.5), wrt=nnx.Param)
    params = (layer.kernel.value, jnp.ones((1, 2)))

    def by_hand(params):
        v, g = params
        return ((X @ (g * v / jnp.linalg.norm(v, axis=0, keepdims=True))) ** 2).mean()

    for _ in range(5):
        optimizer.update(wrapped, nnx.grad(lambda m: (m(X) ** 2).mean())(wrapped))
        slopes = jax.grad(by_hand)(params)
        params = jax.tree.map(lambda p, s: p - 0.5 * s, params, slopes)
    np.testing.assert_allclose(layer.kernel.value, params[0], rtol=1e-4, atol=1e-5)
