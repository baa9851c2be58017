"""scan_steps: many steps in one call are the steps, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx

BATCHES = jax.random.normal(jax.random.key(3), (5, 4, 3))


def build():
    rngs = nnx.Rngs(0)
    norm, dropout = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.3, rngs=rngs)
    first, last = nnx.Linear(3, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)
    model = nnx.Sequential(first, norm, nnx.relu, dropout, last)
    return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


def step(model, optimizer, x):
    loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
    optimizer.update(model, grads)
    return {"loss": loss, "seen": x[0, 0]}


def data_of(objects):
    def plain(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return list(map(plain, jax.tree.leaves(nnx.state(objects))))


def test_many_steps_are_the_steps_bit_for_bit():
    one, many = build(), build()
    single, together = nnx.jit(step), nnx.train.scan_steps(step)
    results = [single(*one, x) for x in BATCHES]
    found = together(*many, BATCHES)
    np.testing.assert_array_equal(found["loss"], [r["loss"] for r in results])
    np.testing.assert_array_equal(found["seen"], BATCHES[:, 0, 0])
    for a, b in zip(data_of(one), data_of(many), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_goes_on_where_the_last_call_ended_without_a_trace():
    one, many = build(), build()
    together = nnx.train.scan_steps(step)
    together(*one, BATCHES)
    together(*one, BATCHES)
    whole = nnx.train.scan_steps(step)
    whole(*many, jnp.concatenate([BATCHES, BATCHES]))
    assert together.jitted._cache_size() == 1
    for a, b in zip(data_of(one), data_of(many), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_steps_are_taken_or_none():
    objects = build()

    @nnx.train.scan_steps
    def failing(model, optimizer, x):
        step(model, optimizer, x)
        raise ValueError("half-way")

    before = data_of(objects)
    with pytest.raises(ValueError, match="half-way"):
        failing(*objects, BATCHES)
    for a, b in zip(before, data_of(objects), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_may_be_trees_and_named():
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))

    @nnx.train.scan_steps(unroll=2)
    def mean(model, *, batch):
        model.bias[...] += 1
        return (model(batch["x"]) - batch["y"]).mean()

    batch = {"x": BATCHES, "y": jnp.zeros((5, 4, 1))}
    found = mean(model, batch=batch)
    assert found.shape == (5,)
    np.testing.assert_allclose(np.diff(found - mean(model, batch=batch)), 0, atol=1e-5)
    assert float(model.bias[0]) == 10


@pytest.mark.parametrize(
    ("arrays", "shown"),
    [
        ((), "none"),
        ((jnp.float32(3),), r"\(\)"),
        ((BATCHES, BATCHES[:3]), r"\(5, 4, 3\), \(3, 4, 3\)"),
        ((BATCHES[:0],), r"\(0, 4, 3\)"),
    ],
    ids=["none", "number", "lengths", "empty"],
)
def test_batches_without_a_common_axis_are_refused(arrays, shown):
    many = nnx.train.scan_steps(lambda model, *xs: None)
    with pytest.raises(nnx.errors.ArgumentError, match=shown) as caught:
        many(nnx.Linear(3, 1, rngs=nnx.Rngs(0)), *arrays)
    assert "functools.partial" in str(caught.value)
