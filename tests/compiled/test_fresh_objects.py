"""Objects that are new in each call, of a structure that was met before."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from tests.models import counted_forward

X = jnp.ones((3, 3))


class Pair(nnx.Module):
    def __init__(self, a, b, scale=1.0):
        self.a, self.b, self.scale = nnx.Param(a), nnx.Param(b), scale

    def __call__(self, x):
        return (x @ self.a + self.b) * self.scale


def pair(value=1.0, **kwargs):
    return Pair(jnp.full((3, 3), value), jnp.full((3, 3), value), **kwargs)


def test_fresh_models_of_one_structure_trace_once():
    forward, traces = counted_forward()
    for value in (1.0, 2.0, 3.0):
        model = pair(value)
        np.testing.assert_allclose(forward(model, X), model(X))
    assert traces == [1]


def tied():
    model = pair()
    model.b = model.a
    return model


def with_metadata():
    model = pair()
    model.a.set_metadata(tag="x")
    return model


def of_another_type():
    model = pair()
    model.a = nnx.BatchStat(jnp.ones((3, 3)))
    return model


@pytest.mark.parametrize(
    "make",
    [tied, with_metadata, of_another_type, lambda: pair(scale=5.0)],
    ids=["tied", "metadata", "type", "configuration"],
)
def test_a_fresh_model_that_differs_is_told_apart(make):
    forward, traces = counted_forward()
    forward(pair(), X)
    forward(pair(), X)
    model = make()
    np.testing.assert_allclose(forward(model, X), model(X))
    assert traces == [2]


def test_a_fresh_model_that_shares_with_another_argument_is_told_apart():
    traces = [0]

    @nnx.jit
    def add(a, b):
        traces[0] += 1
        a.a[...] += 1
        return b.a[...].sum()

    one = pair()
    assert add(one, pair()) == 9
    assert add(one, pair()) == 9
    sharing = pair()
    sharing.a = one.a
    assert add(one, sharing) == 9 * 4
    assert traces == [2]


def test_an_edit_of_an_argument_that_stays_is_seen_beside_a_fresh_one():
    scaled = nnx.jit(lambda model, other, x: model(x) + other(x))
    model = pair()
    scaled(model, pair(), X)
    model.scale = 10.0
    other = pair(2.0)
    np.testing.assert_allclose(scaled(model, other, X), model(X) + other(X))
    model.scale = 1.0
    scaled(pair(), pair(), X)
    model.scale = 20.0
    scaled(pair(), other, X)
    np.testing.assert_allclose(scaled(model, other, X), model(X) + other(X))


def test_gradients_go_from_one_jitted_function_to_another():
    model = pair()
    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
    gradients = nnx.jit(nnx.grad(lambda m, x: m(x).sum()))
    update = nnx.jit(lambda m, o, g: o.update(m, g))
    for _ in range(3):
        update(model, optimizer, gradients(model, X))
    assert update._cache_size() == gradients._cache_size() == 1
    np.testing.assert_allclose(model.b[...], 1.0 - 3 * 0.5)


def test_nothing_of_fresh_objects_is_kept_alive():
    forward, _ = counted_forward()
    forward(pair(), X)
    model = pair()
    forward(model, X)
    gone = weakref.ref(model.a)
    del model
    gc.collect()
    assert gone() is None


def test_a_fresh_model_is_written():
    @nnx.jit
    def bump(model):
        model.a[...] += 1

    for _ in range(3):
        model = pair()
        bump(model)
        assert float(model.a[0, 0]) == 2.0
    assert jax.tree.leaves(model)[0].shape == (3, 3)
