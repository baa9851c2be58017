"""What every layer does, run for each row of the registry."""

import copy
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
import oakum.nn
from tests.registry import ROWS, Row

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def tolerance(row: Row) -> float:
    return 1e-6 if row.expected_dtype == jnp.float32 else 2e-2


def assert_close(got, expected, row: Row) -> None:
    got, expected = (np.asarray(x, np.float32) for x in (got, expected))
    bound = tolerance(row) * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def leaves(layer) -> list[np.ndarray]:
    return [np.asarray(raw(leaf)) for leaf in jax.tree.leaves(nnx.state(layer))]


def raw(leaf):
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def assert_same_state(got, expected) -> None:
    for a, b in zip(leaves(got), leaves(expected), strict=True):
        np.testing.assert_allclose(a.astype("f4"), b.astype("f4"), rtol=1e-5, atol=1e-6)


@every_row
def test_output_under_jit_equals_eager(row):
    eager, jitted, x = row.layer(), row.layer(), row.inputs()
    apply = nnx.jit(lambda layer, x: layer(x))
    for _ in range(2):
        assert_close(apply(jitted, x), eager(x), row)
    assert_same_state(jitted, eager)


@every_row
def test_is_traced_once(row):
    layer, traced = row.layer(), []

    @nnx.jit
    def apply(layer, x):
        traced.append(1)
        return layer(x)

    for seed in range(3):
        apply(layer, row.inputs(seed))
    assert len(traced) == 1


@every_row
def test_gradients_are_finite(row):
    layer, x = row.layer(), row.inputs()

    def loss(layer):
        return (layer(x).astype(jnp.float32) ** 2).mean()

    if not jax.tree.leaves(nnx.state(layer, nnx.Param)):
        pytest.skip("no parameters")
    grads = jax.tree.leaves(nnx.grad(loss)(layer))
    assert all(np.isfinite(np.asarray(grad, np.float32)).all() for grad in grads)
    assert any(np.asarray(grad, np.float32).any() for grad in grads)


@every_row
def test_numpy_inputs_are_accepted(row):
    x = row.inputs()
    assert_close(row.layer()(np.asarray(x)), row.layer()(x), row)


@every_row
def test_dtype_is_kept(row):
    assert row.layer()(row.inputs()).dtype == row.expected_dtype


@every_row
def test_split_and_merge_give_the_same_layer(row):
    layer, x = row.layer(), row.inputs()
    merged = nnx.merge(*nnx.split(layer))
    assert type(merged) is type(layer)
    assert_close(merged(x), row.layer()(x), row)


@every_row
def test_repr_names_the_class(row):
    layer = row.layer()
    assert type(layer).__name__ in repr(layer)


@every_row
def test_eval_mode_draws_and_changes_nothing(row):
    layer, x = row.layer(), row.inputs()
    layer.eval()
    before = leaves(layer)
    first, second = layer(x), layer(x)
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))
    for a, b in zip(before, leaves(layer), strict=True):
        np.testing.assert_array_equal(a, b)


@every_row
def test_vmap_equals_a_loop(row):
    layer = row.layer()
    layer.eval()
    xs = jnp.stack([row.inputs(seed) for seed in range(2)])
    looped = jnp.stack([layer(x) for x in xs])
    assert_close(jax.vmap(layer)(xs), looped, row)


@every_row
@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))],
    ids=["deepcopy", "pickle"],
)
def test_a_duplicate_behaves_the_same(row, duplicate):
    # The registry's factories are lambdas, and the layers that they make hold none.
    layer, x = row.layer(), row.inputs()
    other = duplicate(layer)
    assert_close(other(x), layer(x), row)
    assert_same_state(other, layer)


def test_every_layer_has_a_row():
    # A cell stands below the layer that its row makes.
    made = {type(part) for row in ROWS for _, part in nnx.iter_modules(row.layer())}
    layers = {
        value
        for value in map(oakum.nn.__getattr__, oakum.nn.__all__)
        if inspect.isclass(value) and issubclass(value, nnx.Module)
    }
    # A cache is no layer of its own: it has no call.
    assert layers - {nnx.RNNCellBase, nnx.KVCache} <= made
