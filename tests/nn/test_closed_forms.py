"""What the layers compute, against NumPy."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

STATE = {nnx.Param, nnx.BatchStat, nnx.RngKey, nnx.RngCount}


def normal(*shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(0), shape, dtype)


def standardized(x, axes, epsilon=0.0):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def test_linear_is_a_matrix_product():
    layer, x = nnx.Linear(3, 4, rngs=nnx.Rngs(0)), normal(2, 3)
    layer.bias.value = normal(4)
    expected = np.asarray(x) @ np.asarray(layer.kernel) + np.asarray(layer.bias)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)


def test_causal_convolution_sees_no_future():
    conv = nnx.Conv(1, 1, 3, padding="CAUSAL", rngs=nnx.Rngs(0))
    x = normal(1, 8, 1)
    changed = conv(x.at[0, 5].add(1.0)) - conv(x)
    assert np.flatnonzero(changed).tolist() == [5, 6, 7]


def test_circular_convolution_commutes_with_a_roll():
    conv = nnx.Conv(2, 3, (3, 2), padding="CIRCULAR", rngs=nnx.Rngs(0))
    x = normal(1, 6, 5, 2)
    rolled = conv(jnp.roll(x, (2, 1), (1, 2)))
    np.testing.assert_allclose(rolled, jnp.roll(conv(x), (2, 1), (1, 2)), atol=1e-5)


def test_reflecting_convolution_mirrors_its_input():
    conv = nnx.Conv(1, 1, 3, padding="REFLECT", rngs=nnx.Rngs(0))
    bare = nnx.Conv(1, 1, 3, padding="VALID", rngs=nnx.Rngs(0))
    x = normal(1, 6, 1)
    padded = np.pad(np.asarray(x), [(0, 0), (1, 1), (0, 0)], mode="reflect")
    np.testing.assert_allclose(conv(x), bare(padded), rtol=1e-6)


@pytest.mark.parametrize("axes", [None, (1, 3), (2, 3), (1, 2, 3)], ids=str)
def test_group_norm_standardizes_each_group(axes):
    layer, x = nnx.GroupNorm(6, 3, epsilon=0.0, reduction_axes=axes), normal(2, 4, 5, 6)
    grouped = np.asarray(x).reshape(2, 4, 5, 3, 2)
    over = (1, 2, 4) if axes is None else tuple(4 if a == 3 else a for a in axes)
    expected = standardized(grouped, over).reshape(x.shape)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_group_norm_of_one_example():
    layer, x = nnx.GroupNorm(6, 3, reduction_axes=(0, 1, 2)), normal(2, 4, 5, 6)
    batched = nnx.GroupNorm(6, 3)(x)
    np.testing.assert_allclose(layer(x[1]), batched[1], atol=1e-5)


def test_layer_norm_standardizes_each_example():
    x = normal(3, 8) * 5 + 2
    expected = standardized(np.asarray(x), (-1,), 1e-6)
    for fast in (True, False):
        layer = nnx.LayerNorm(8, use_fast_variance=fast)
        np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_half_precision_statistics_are_taken_in_float32():
    x = (normal(2, 4096) + 30).astype(jnp.bfloat16)
    out = nnx.LayerNorm(4096, dtype=jnp.bfloat16)(x).astype(jnp.float32)
    np.testing.assert_allclose(out.std(-1), 1.0, atol=0.01)


def test_batch_norm_averages_its_statistics():
    layer, x = nnx.BatchNorm(3, momentum=0.8), normal(50, 3) * 2 + 1
    layer(x)
    np.testing.assert_allclose(layer.mean.value, 0.2 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.var.value, 0.8 + 0.2 * x.var(0), rtol=1e-5)


def test_batch_norm_over_integers_of_another_axis():
    layer, x = nnx.BatchNorm(3, axis=1, epsilon=0.0), jnp.arange(24).reshape(4, 3, 2)
    expected = standardized(np.asarray(x, "f4"), (0, 2))
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_dropout_keeps_the_mean_and_shares_draws():
    layer = nnx.Dropout(0.25, broadcast_dims=(1,), rngs=nnx.Rngs(0))
    out = np.asarray(layer(jnp.ones((4000, 3))))
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(out.mean() - 1) < 0.05
    assert (out == out[:, :1]).all()


def test_dropout_of_everything_has_a_gradient():
    layer = nnx.Dropout(1.0, rngs=nnx.Rngs(0))
    assert jax.grad(lambda x: layer(x).sum())(jnp.ones(3)).tolist() == [0, 0, 0]


def test_pooling_of_integers():
    x = jnp.array([[[-5], [-7], [3]]])
    padding = ((1, 0),)
    assert nnx.max_pool(x, (2,), padding=padding).ravel().tolist() == [-5, -5, 3]
    assert nnx.min_pool(x, (2,), padding=padding).ravel().tolist() == [-5, -7, -7]


def test_average_keeps_half_precision():
    x = normal(1, 4, 4, 1, dtype=jnp.bfloat16)
    for count in (True, False):
        out = nnx.avg_pool(x, (2, 2), padding="SAME", count_include_pad=count)
        assert out.dtype == jnp.bfloat16


def test_metadata_reaches_the_parameters():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0), kernel_metadata={"axes": ("in", "out")})
    assert layer.kernel.axes == ("in", "out")
    norm = nnx.LayerNorm(2, scale_metadata={"axes": "a"}, bias_metadata={"axes": "b"})
    assert (norm.scale.axes, norm.bias.axes) == ("a", "b")


def test_numpy_numbers_as_arguments_are_no_state():
    three, rate = np.int64(3), np.linspace(0, 0.2, 3)[1]
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.Embed(three, three, rngs=rngs),
        nnx.Linear(three, three, rngs=rngs),
        nnx.Conv(three, three, [three], strides=[three], rngs=rngs),
        nnx.BatchNorm(three, momentum=rate, epsilon=rate),
        nnx.GroupNorm(three, three),
        nnx.Dropout(rate, rngs=rngs),
    )
    assert {type(v) for v in nnx.state(model).flat_state().leaves} <= STATE
    nnx.jit(lambda model, x: model(x))(model, jnp.ones((2, 3), jnp.int32))


def test_an_eager_layer_is_one_call_to_xla():
    # What keeps eager code fast: a layer's arithmetic is compiled as a whole.
    layers = [nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.LayerNorm(4), nnx.RMSNorm(4)]
    for layer in layers:
        assert len(jax.make_jaxpr(layer)(jnp.ones((2, 4))).eqns) == 1


@pytest.mark.parametrize("function", [nnx.relu, nnx.silu, jax.nn.softplus, jnp.tanh])
def test_functions_of_jax_pickle_and_copy_as_themselves(function):
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function


def test_a_compiled_function_without_a_name_does_not_pickle():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(jax.jit(lambda x: x))
