"""EMA: closed form, agreement with flax, sharing, use under jit, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, rngs, lib=nnx):
        self.linear = lib.Linear(2, 3, rngs=rngs)
        self.norm = lib.BatchNorm(3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.linear(x))


def _fill(model, value):
    for _, leaf in nnx.to_flat_state(nnx.state(model)):
        leaf.set_value(jnp.full_like(leaf.get_value(), value))


def test_the_average_decays(rngs):
    model = Model(rngs)
    _fill(model, 0.0)
    ema = nnx.EMA(model, decay=0.9)
    _fill(model, 1.0)
    for _ in range(5):
        ema.update(model)
    for leaf in jax.tree.leaves(ema.params):
        np.testing.assert_allclose(leaf, 1 - 0.9**5, rtol=1e-6)


@pytest.mark.peer
def test_the_average_is_that_of_flax(rngs):
    flax_nnx = pytest.importorskip("flax.nnx")
    ours, theirs = (
        nnx.Linear(4, 3, rngs=rngs),
        flax_nnx.Linear(4, 3, rngs=flax_nnx.Rngs(0)),
    )
    ema, their_ema = nnx.EMA(ours, 0.7), flax_nnx.EMA(theirs, 0.7)
    for step in range(3):
        ours.kernel[...] += step + 0.5
        theirs.kernel[...] += step + 0.5
        ema.update(ours)
        their_ema.update(theirs)
    x = jnp.ones((2, 4))
    np.testing.assert_array_equal(ema.apply_to(ours)(x), their_ema.apply_to(theirs)(x))
    assert type(ema.params.kernel) is nnx.Param


def test_it_costs_its_variables_once(rngs):
    model = Model(rngs)
    ema = nnx.EMA(model, 0.9, only=nnx.Param)
    assert len(jax.tree.leaves(ema)) == len(
        jax.tree.leaves(nnx.state(model, nnx.Param))
    )


def test_the_average_does_not_share_arrays_with_the_model(rngs):
    model = Model(rngs)
    ema = nnx.EMA(model, 0.9)
    assert ema.params.linear.kernel is not model.linear.kernel
    assert ema.params.linear.kernel.value is not model.linear.kernel.value


def test_the_model_made_of_it_follows_the_average_and_the_model(rngs):
    model = Model(rngs)
    ema = nnx.EMA(model, 0.5, only=nnx.Param)
    average = ema.apply_to(model)
    assert average.linear.kernel is ema.params.linear.kernel
    assert average.norm.mean is model.norm.mean
    assert average is not model
    before = average.linear.kernel.value
    model.linear.kernel[...] += 1.0
    ema.update(model)
    np.testing.assert_allclose(average.linear.kernel, before + 0.5, rtol=1e-6)


def test_a_training_step_updates_it_under_jit(rngs):
    model = Model(rngs)
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    ema, eager = nnx.EMA(model, 0.9), nnx.EMA(model, 0.9)
    traces = []

    @nnx.jit
    def step(model, optimizer, ema, x):
        traces.append(1)
        grads = nnx.grad(lambda m: (m(x) ** 2).sum())(model)
        optimizer.update(model, grads)
        ema.update(model)

    for _ in range(3):
        step(model, optimizer, ema, jnp.eye(2))
        eager.update(model)
    assert len(traces) == 1
    for ours, expected in zip(
        jax.tree.leaves(ema), jax.tree.leaves(eager), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_counts_and_keys_follow_the_model():
    dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    ema = nnx.EMA(dropout, 0.9)
    dropout(jnp.ones(3))
    ema.update(dropout)
    assert int(ema.params.rngs.count.value) == 1
    assert ema.params.rngs.key.value == dropout.rngs.key.value


def test_dtypes_and_metadata_are_kept():
    model = nnx.Param(jnp.ones(3, jnp.bfloat16), note="x")
    ema = nnx.EMA({"w": model}, 0.9)
    ema.update({"w": nnx.Param(jnp.zeros(3, jnp.float32))})
    assert ema.params["w"].dtype == jnp.bfloat16
    assert ema.params["w"].note == "x"


def test_it_takes_states_and_dicts(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    ema = nnx.EMA(nnx.state(model), 0.5)
    ema.update(nnx.state(model))
    ema.update(nnx.to_pure_dict(nnx.state(model)))
    np.testing.assert_allclose(ema.params.kernel, model.kernel.value, rtol=1e-6)


def test_a_filter_that_selects_nothing_is_refused(rngs):
    with pytest.raises(ValueError, match=r"only=Cache selects no Variable of Linear"):
        nnx.EMA(nnx.Linear(2, 3, rngs=rngs), 0.9, only=nnx.Cache)


def test_a_bare_array_is_refused():
    class Bare(nnx.Module):
        def __init__(self):
            self.sub = {"x": jnp.ones(2)}

    with pytest.raises(TypeError, match=r"got ArrayImpl at path 'sub/x'(?s:.*)only="):
        nnx.EMA(Bare(), 0.9)


def test_another_structure_is_refused_with_every_difference(rngs):
    model = nnx.Linear(2, 3, rngs=rngs)
    ema = nnx.EMA(model, 0.9)
    other = nnx.Linear(4, 3, use_bias=False, rngs=rngs)
    other.extra = nnx.Param(jnp.ones(()))
    before = ema.params.bias.value
    with pytest.raises(ValueError, match="bias: missing") as error:
        ema.update(other)
    assert "extra: not in the average" in str(error.value)
    assert "kernel: expected shape (2, 3), got (4, 3)" in str(error.value)
    assert ema.params.bias.value is before
    with pytest.raises(ValueError, match="bias: missing"):
        ema.apply_to(other)
