"""MultiHeadAttention: its cache and its modes, and each wrong argument."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError


class Block(nnx.Module):
    def __init__(self, **options):
        self.layers = [make(**options)]

    def __call__(self, *inputs, **call):
        return self.layers[0](*inputs, **call)


def make(num_heads=2, in_features=8, **options):
    return nnx.MultiHeadAttention(
        num_heads, in_features, **{"rngs": nnx.Rngs(0), **options}
    )


def inputs(*shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def rotated(**options):
    rope = nnx.RoPE(**options)
    return functools.partial(nnx.dot_product_attention_with_rope, rope=rope)


FUNCTIONS = {
    "plain": nnx.dot_product_attention,
    "rope": rotated(),
    "rope-tables": rotated(embedding_size=4, max_seq_len=6),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_decoding_equals_causal_attention(function):
    layer = make(num_kv_heads=1, attention_fn=function, normalize_qk=True)
    x = inputs(3, 5, 8)
    layer.init_cache((3, 6, 8))
    step = nnx.jit(lambda layer, x: layer(x, decode=True, is_causal=True))
    steps = [step(layer, x[:, t : t + 1]) for t in range(5)]
    assert int(layer.cache_index.value) == 5
    got = jnp.concatenate(steps, axis=1)
    np.testing.assert_allclose(got, layer(x, is_causal=True), atol=2e-6)


def test_the_cache_is_updated_in_place_and_is_state():
    layer = make(decode=True)
    layer.init_cache((3, 4, 8))
    cache = layer.cached_key
    layer(inputs(3, 1, 8))
    assert layer.cached_key is cache
    assert cache.value.shape == (3, 4, 2, 4)
    assert np.asarray(cache.value).any(axis=(0, 2, 3)).tolist() == [True] + [False] * 3
    paths = [path[0] for path, _ in nnx.to_flat_state(nnx.state(layer, nnx.Cache))]
    assert sorted(paths) == ["cache_index", "cached_key", "cached_value"]


def test_a_new_cache_is_empty():
    layer = make(decode=True)
    for _ in range(2):
        layer.init_cache((3, 4, 8))
        assert int(layer.cache_index.value) == 0
        assert not layer.cached_value.value.any()
        layer(inputs(3, 1, 8))


def test_a_cache_of_another_dtype_leaves_the_output():
    layer = make(decode=True)
    layer.init_cache((3, 4, 8), jnp.bfloat16)
    out = layer(inputs(3, 1, 8))
    assert layer.cached_key.value.dtype == jnp.bfloat16
    assert out.dtype == jnp.float32


def test_several_batch_axes():
    layer, x = make(), inputs(2, 3, 5, 8)
    np.testing.assert_allclose(layer(x)[1], layer(x[1]), atol=1e-6)
    np.testing.assert_allclose(layer(x)[1, 2], layer(x[1, 2]), atol=1e-6)


def test_modes_are_set_by_model_call_and_view():
    layer, x = make(dropout_rate=0.5), inputs(3, 5, 8)
    layer.eval()
    still = layer(x)
    np.testing.assert_array_equal(layer(x), still)
    assert (layer(x, deterministic=False) != still).any()
    layer.train()
    assert (layer(x) != layer(x)).any()
    np.testing.assert_array_equal(layer(x, deterministic=True), still)
    layer.set_view(deterministic=True, decode=True, batch_size=3, max_length=6)
    assert (layer.deterministic, layer.decode) == (True, True)
    assert layer.cached_key.value.shape == (3, 6, 2, 4)
    assert layer(x[:, :1]).shape == (3, 1, 8)
    layer.set_view(decode=True, batch_size=(3,), max_length=9)
    assert layer.cached_key.value.shape == (3, 6, 2, 4)  # there was one
    layer.set_view(decode=False)
    np.testing.assert_array_equal(layer(x), still)


RNGS = {
    "rngs": lambda: nnx.Rngs(dropout=3),
    "stream": lambda: nnx.Rngs(dropout=3).dropout,
    "key": lambda: nnx.Rngs(dropout=3).dropout(),
}


@pytest.mark.parametrize("rngs", RNGS.values(), ids=RNGS)
def test_dropout_draws_from_what_the_call_gives(rngs):
    layer = make(dropout_rate=0.5, keep_rngs=False, deterministic=False)
    x = inputs(3, 5, 8)
    expected = layer(x, rngs=jax.random.fold_in(jax.random.key(3), 0))
    np.testing.assert_array_equal(layer(x, rngs=rngs()), expected)


def test_sizes_of_numpy_and_python_make_one_structure():
    one = make(np.int64(2), np.int64(8), qkv_features=np.int64(4))
    assert nnx.graphdef(one) == nnx.graphdef(make(2, 8, qkv_features=4))


WIDTHS = {
    "query": ([(2, 5, 6)], "in_features=8", 6),
    "key": ([(2, 5, 8), (2, 5, 6)], "in_kv_features=8", 6),
    "value": ([(2, 5, 8), (2, 5, 8), (2, 5, 7)], "in_kv_features=8", 7),
}


@pytest.mark.parametrize(("shapes", "argument", "got"), WIDTHS.values(), ids=WIDTHS)
def test_wrong_width_names_path_sizes_and_remedy(shapes, argument, got):
    model = Block()
    with pytest.raises(ShapeError) as caught:
        model(*map(jnp.ones, shapes))
    text = str(caught.value)
    assert "model.layers[0]" in text
    assert f"MultiHeadAttention expects 8 at axis -1 ({argument})" in text
    assert str(shapes[-1]) in text
    assert f"build it with {argument[:-2]}={got}" in text


BAD = {
    "kv-heads": ({"num_kv_heads": 3}, r"num_kv_heads=3.*num_heads=2(.|\n)*multiple"),
    "no-kv-heads": ({"num_kv_heads": 0}, "num_kv_heads=0"),
    "heads": ({"num_heads": 3}, r"num_heads=3.*qkv_features=8(.|\n)*multiple of num"),
    "rate": ({"dropout_rate": 2}, r"dropout_rate=2(.|\n)*from 0"),
}


@pytest.mark.parametrize(("options", "text"), BAD.values(), ids=BAD)
def test_the_constructor_checks_its_arguments(options, text):
    with pytest.raises(ArgumentValueError, match=text):
        make(**options)


def test_rngs_are_asked_for():
    with pytest.raises(MissingRngError, match=r"got no rngs\n.*nnx.Rngs\(0\)"):
        make(rngs=None)


def test_values_need_keys():
    model = Block()
    x = jnp.ones((2, 5, 8))
    with pytest.raises(ArgumentError, match=r"layers\[0\](.|\n)*layer\(q, k, v\)"):
        model(x, inputs_v=x)


def test_decoding_needs_a_cache_of_one_position_per_call():
    model = Block(decode=True)
    with pytest.raises(ArgumentValueError, match=r"layers\[0\](.|\n)*init_cache\("):
        model(jnp.ones((2, 1, 8)))
    model.layers[0].init_cache((2, 4, 8))
    before = jax.tree.leaves(nnx.state(model))
    for shape in ((2, 3, 8), (3, 1, 8), (1, 8)):
        with pytest.raises(ShapeError, match=r"\(2, 1, 2, 4\)(.|\n)*\(2, 1, 8\)"):
            model(jnp.ones(shape))
    after = jax.tree.leaves(nnx.state(model))
    assert all(a is b for a, b in zip(before, after, strict=True))


def test_dropout_needs_a_mode_and_a_stream():
    x = jnp.ones((2, 5, 8))
    model = Block(dropout_rate=0.5)
    with pytest.raises(ArgumentValueError, match=r"None(.|\n)*layers\[0\](.|\n)*train"):
        model(x)
    model = Block(dropout_rate=0.5, keep_rngs=False, deterministic=False)
    with pytest.raises(MissingRngError, match=r"=0.5(.|\n)*layers\[0\](.|\n)*eval\(\)"):
        model(x)
