"""Layers on a mesh with explicit axes: the output has the sharding asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import oakum as nnx


@pytest.fixture
def mesh():
    mesh = jax.make_mesh(
        (2, 2), ("batch", "model"), axis_types=(AxisType.Explicit,) * 2
    )
    with jax.set_mesh(mesh):
        yield mesh


def spread(module, **specs):
    """Places the parameters of a layer on the mesh."""
    for name, spec in specs.items():
        param = getattr(module, name)
        param.value = jax.device_put(param.value, spec)
    return module


def check(got, expected, spec):
    assert jax.typeof(got).sharding.spec == spec
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_linear(mesh):
    def make():
        return nnx.Linear(4, 8, bias_init=nnx.initializers.ones, rngs=nnx.Rngs(0))

    x = jax.random.normal(jax.random.key(0), (6, 4))
    expected = np.asarray(make()(x))
    columns = spread(make(), kernel=P(None, "model"), bias=P("model"))
    spec = P("batch", "model")
    check(columns(jax.device_put(x, P("batch", None))), expected, spec)
    rows = spread(make(), kernel=P("model", None), bias=P(None))
    x = jax.device_put(x, P("batch", "model"))
    check(rows(x, out_sharding=P("batch", None)), expected, P("batch", None))


def test_embed(mesh):
    def make():
        return nnx.Embed(4, 8, rngs=nnx.Rngs(0))

    tokens = jnp.array([[0, 1], [2, 3]])
    spec = P("batch", None, "model")
    layer = spread(make(), embedding=P(None, "model"))
    tokens_here = jax.device_put(tokens, P("batch", None))
    check(layer(tokens_here, out_sharding=spec), np.asarray(make()(tokens)), spec)
    x = jax.random.normal(jax.random.key(0), (6, 8))
    layer = spread(make(), embedding=P("model", None))
    x_here = jax.device_put(x, P("batch", None))
    spec = P("batch", "model")
    expected = np.asarray(make().attend(x))
    check(layer.attend(x_here, out_sharding=spec), expected, spec)


def test_conv_and_norms_keep_the_batch_axis(mesh):
    layers = [
        nnx.Conv(4, 4, 3, rngs=nnx.Rngs(0)),
        nnx.BatchNorm(4, use_running_average=True),
        nnx.LayerNorm(4),
        nnx.RMSNorm(4),
        nnx.Dropout(0.0),
    ]
    x = jax.random.normal(jax.random.key(0), (2, 6, 4))
    for layer in layers:
        spec = P("batch", None, None)
        check(layer(jax.device_put(x, spec)), np.asarray(layer(x)), spec)


def test_dropout_draws_where_its_input_is(mesh):
    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    x = jax.device_put(jnp.ones((8, 4)), P("batch", "model"))
    out = layer(x)
    assert jax.typeof(out).sharding.spec == P("batch", "model")
    assert set(np.unique(np.asarray(out))) <= {0.0, 2.0}


@pytest.mark.parametrize("options", [{}, {"num_kv_heads": 2}], ids=["all", "groups"])
def test_attention_spreads_batch_and_heads(mesh, options):
    layer = nnx.MultiHeadAttention(4, 8, rngs=nnx.Rngs(0), **options)
    x = jax.random.normal(jax.random.key(0), (4, 6, 8))
    expected, spec = np.asarray(layer(x, is_causal=True)), P("batch", None, None)
    x = jax.device_put(x, spec)
    check(layer(x, is_causal=True), expected, spec)
    heads = P("batch", None, "model", None)
    out = layer(x, is_causal=True, qkv_sharding=heads, out_sharding=spec)
    check(out, expected, spec)


def test_a_cache_is_spread_where_it_is_put(mesh):
    layer = nnx.MultiHeadAttention(4, 8, rngs=nnx.Rngs(0), decode=True)
    layer.init_cache((4, 3, 8))
    cache = P("batch", None, None, None)
    spread(layer, cached_key=cache, cached_value=cache)
    x = jax.random.normal(jax.random.key(0), (4, 1, 8))
    spec = P("batch", None, None)
    check(layer(jax.device_put(x, spec)), layer(x, decode=False), spec)
    assert jax.typeof(layer.cached_key.value).sharding.spec == cache
