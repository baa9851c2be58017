"""What models of today ask of attention, RMSNorm and RoPE, against plain formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, ShapeError

SEQ, HEADS, DEPTH = 6, 4, 8


def _arrays(kv_heads=2):
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = (HEADS, kv_heads, kv_heads)
    return [
        jax.random.normal(k, (2, SEQ, n, DEPTH))
        for k, n in zip(keys, sizes, strict=True)
    ]


def _reference(query, key, value, *, scale, softcap=None, window=None, sinks=None):
    """One head and query after the other, in float64."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    out = np.zeros(query.shape)
    for b, q, h in np.ndindex(*query.shape[:3]):
        first = 0 if window is None else max(0, q - window + 1)
        group = h // (HEADS // key.shape[2])
        logits = key[b, first : q + 1, group] @ query[b, q, h] * scale
        logits = logits if softcap is None else softcap * np.tanh(logits / softcap)
        weights = np.exp(logits)
        total = weights.sum() + (0 if sinks is None else np.exp(sinks[h]))
        out[b, q, h] = weights / total @ value[b, first : q + 1, group]
    return out


OPTIONS = {
    "scale": {"scale": 0.7},
    "softcap": {"scale": 0.7, "softcap": 1.5},
    "window": {"scale": 0.7, "window": 3},
    "sinks": {"scale": 0.7, "sinks": np.array([0.5, -1.0, 2.0, 0.0])},
    "all": {"scale": 0.7, "softcap": 2.0, "window": 2, "sinks": np.ones(4)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_attention_follows_its_options(options):
    arrays = _arrays()
    given = {
        k: jnp.asarray(v, jnp.float32) if k == "sinks" else v
        for k, v in options.items()
    }
    out = nnx.dot_product_attention(*arrays, is_causal=True, **given)
    np.testing.assert_allclose(out, _reference(*arrays, **options), atol=2e-6)


def test_a_window_goes_with_a_mask():
    mask = np.ones((1, 1, SEQ, SEQ), bool)
    mask[..., 0] = False
    both = nnx.dot_product_attention(*_arrays(), mask=mask, window=2)
    near = nnx.make_sliding_window_mask(jnp.ones((1, SEQ)), 2, dtype=bool)
    np.testing.assert_allclose(
        both, nnx.dot_product_attention(*_arrays(), mask=mask & near), atol=1e-6
    )


def test_a_window_over_a_cache_is_refused_with_the_remedy():
    query, key, value = _arrays()
    with pytest.raises(ArgumentValueError, match=r"KVCache\(\.\.\., window=window\)"):
        nnx.dot_product_attention(query[:, :1], key, value, window=2)


def test_sinks_for_other_heads_are_refused():
    with pytest.raises(ShapeError, match=r"sinks has shape \(3,\)"):
        nnx.dot_product_attention(*_arrays(), sinks=jnp.ones(3))


def test_a_cache_with_a_window_gives_what_the_window_gives():
    query, key, value = _arrays()
    cache = nnx.KVCache(2, SEQ, 2, DEPTH, window=3)
    parts = []
    for i in (slice(0, 4), slice(4, 5), slice(5, 6)):
        keys, values, mask = cache.extend(key[:, i], value[:, i])
        parts.append(nnx.dot_product_attention(query[:, i], keys, values, mask=mask))
    whole = nnx.dot_product_attention(query, key, value, window=3)
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-6)


@pytest.mark.parametrize("kind", [nnx.RMSNorm, nnx.LayerNorm])
def test_a_norm_with_an_offset_keeps_the_difference(kind):
    norm, plain = kind(8, offset=1.0), kind(8)
    np.testing.assert_array_equal(norm.scale.value, 0)
    x = jax.random.normal(jax.random.key(0), (3, 8))
    np.testing.assert_array_equal(norm(x), plain(x))
    norm.scale.value = norm.scale.value.at[2].set(0.5)
    np.testing.assert_allclose(norm(x)[:, 2], 1.5 * plain(x)[:, 2], rtol=1e-6)


@pytest.mark.parametrize("kind", [nnx.RMSNorm, nnx.LayerNorm])
def test_an_offset_is_added_in_float32(kind):
    norm = kind(2, offset=1.0, param_dtype=jnp.bfloat16)
    norm.scale.value = jnp.full(2, 0.001, jnp.bfloat16)
    x = jnp.array([1000.0, -1000.0])
    assert norm(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    np.testing.assert_allclose(norm(x), [1.001, -1.001], rtol=1e-5)


def test_neighbours_turn_as_halves_do_after_a_permutation():
    x = jax.random.normal(jax.random.key(0), (SEQ, DEPTH))
    order = np.r_[0:DEPTH:2, 1:DEPTH:2]
    expected = nnx.RoPE()(x[:, order])
    turned = nnx.RoPE(neighbours=True)(x)
    np.testing.assert_allclose(turned[:, order], expected, atol=1e-6)


def test_a_fraction_of_the_features_turns():
    x = jax.random.normal(jax.random.key(0), (SEQ, DEPTH))
    turned = nnx.RoPE(fraction=0.5)(x)
    np.testing.assert_array_equal(turned[:, 4:], x[:, 4:])
    np.testing.assert_allclose(turned[:, :4], nnx.RoPE()(x[:, :4]), atol=1e-6)


def test_theta_and_fraction_come_from_the_scaling():
    x = jax.random.normal(jax.random.key(0), (SEQ, DEPTH))
    config = {"rope_type": "default", "rope_theta": 7.0, "partial_rotary_factor": 0.5}
    rope = nnx.RoPE(scaling=config)
    assert (rope.theta, rope.fraction) == (7.0, 0.5)
    np.testing.assert_array_equal(rope(x), nnx.RoPE(7.0, fraction=0.5)(x))
    assert (nnx.RoPE().theta, nnx.RoPE().fraction) == (10000.0, 1.0)
    part = {"rope_type": "proportional", "partial_rotary_factor": 0.5}
    assert nnx.RoPE(scaling=part).fraction == 1.0  # of pairs, in all features


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"theta": 5.0},
            r"theta=5.0, and scaling with rope_theta=7.0(.|\n)*leave theta",
        ),
        ({"fraction": 1.0}, r"partial_rotary_factor=0.5(.|\n)*leave fraction out"),
    ],
)
def test_a_scaling_with_another_theta_or_fraction_is_refused(options, text):
    config = {"rope_type": "default", "rope_theta": 7.0, "partial_rotary_factor": 0.5}
    with pytest.raises(ArgumentValueError, match=text):
        nnx.RoPE(**options, scaling=config)


BAD = {
    "stretch": (
        {
            "rope_type": "longrope",
            "short_factor": [1.0],
            "long_factor": [2.0],
            "original_max_position_embeddings": 32,
        },
        "lacks max_position_embeddings",
    ),
    "type": ({"rope_type": "su"}, "no scaling of the type 'su'"),
    "number": ({"rope_type": "linear"}, "lacks factor"),
    "numbers": ({"type": "llama3", "factor": 8.0}, "lacks low_freq_factor, high_freq"),
}


@pytest.mark.parametrize(("scaling", "match"), BAD.values(), ids=BAD)
def test_a_scaling_that_is_not_known_is_refused(scaling, match):
    with pytest.raises(ArgumentValueError, match=match):
        nnx.RoPE(scaling=scaling)


def test_a_scaling_by_length_is_not_computed_beforehand():
    scaling = {"rope_type": "dynamic", "factor": 2.0, "max_position_embeddings": 8}
    with pytest.raises(ArgumentValueError, match="leave out embedding_size"):
        nnx.RoPE(embedding_size=8, max_seq_len=16, scaling=scaling)
