"""dot_product_attention: what flax lacks, and each wrong argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, MissingRngError, ShapeError


def normal(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def by_hand(query, key, value, mask=None):
    """softmax(q k / sqrt(depth)) v in float64, for each head."""
    q, k, v = (np.asarray(x, np.float64) for x in (query, key, value))
    k, v = (np.repeat(x, q.shape[-2] // x.shape[-2], axis=-2) for x in (k, v))
    logits = np.einsum("...qhd,...khd->...hqk", q, k) / np.sqrt(q.shape[-1])
    if mask is not None:
        logits = np.where(mask, logits, -1e30)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("...hqk,...khd->...qhd", weights, v)


@pytest.mark.parametrize("kv_heads", [6, 3, 1])
@pytest.mark.parametrize("sown", [False, True], ids=["fused", "explicit"])
def test_both_ways_give_the_definition(kv_heads, sown):
    q, k = normal(2, 4, 6, 8), normal(2, 5, kv_heads, 8, seed=1)
    v = normal(2, 5, kv_heads, 8, seed=2)
    mask = np.tril(np.ones((4, 5), bool))
    module = nnx.Module() if sown else None
    got = nnx.dot_product_attention(q, k, v, module=module, is_causal=True)
    np.testing.assert_allclose(got, by_hand(q, k, v, mask), atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_the_definition(dtype):
    x = normal(2, 4, 6, 8).astype(dtype)
    for attend in (nnx.dot_product_attention, jax.jit(nnx.dot_product_attention)):
        out = attend(x, x, x)
        assert out.dtype == dtype
        np.testing.assert_allclose(out.astype("float32"), by_hand(x, x, x), atol=3e-2)


def test_values_may_have_their_own_depth_and_heads():
    q, k = normal(2, 4, 6, 8), normal(2, 5, 3, 8, seed=1)
    for heads, depth in ((3, 5), (2, 8), (6, 2)):
        v = normal(2, 5, heads, depth, seed=2)
        got = nnx.dot_product_attention(q, k, v)
        assert got.shape == (2, 4, 6, depth)
        np.testing.assert_allclose(got, by_hand(q, k, v), atol=2e-6)


def test_masks_broadcast_over_several_batch_axes():
    x = normal(2, 3, 4, 2, 8)
    causal = np.tril(np.ones((4, 4), bool))
    for mask in (causal, causal[None], np.broadcast_to(causal, (3, 1, 4, 4))):
        for is_causal in (False, True):
            got = nnx.dot_product_attention(x, x, x, mask=mask, is_causal=is_causal)
            np.testing.assert_allclose(got, by_hand(x, x, x, causal), atol=2e-6)


def test_bias_may_be_wider_than_the_arrays():
    x = normal(1, 4, 2, 8, dtype=jnp.bfloat16)
    bias = normal(2, 4, 4)
    for module in (None, nnx.Module()):
        out = nnx.dot_product_attention(x, x, x, bias, module=module)
        assert out.dtype == jnp.bfloat16


def test_dropout_keeps_the_mean():
    q = k = jnp.zeros((1, 1, 1, 4))
    k = jnp.broadcast_to(k, (1, 4000, 1, 4))
    v = jnp.ones_like(k)
    rng = jax.random.key(0)
    out = nnx.dot_product_attention(q, k, v, dropout_rng=rng, dropout_rate=0.25)
    np.testing.assert_allclose(out, 1.0, atol=0.05)
    assert float(out[0, 0, 0, 0]) != 1.0


def test_dropping_all_gives_zeros():
    x = normal(1, 4, 2, 8)
    out = nnx.dot_product_attention(x, x, x, dropout_rate=1.0)
    assert not out.any()


def test_numpy_arrays_are_accepted():
    x = np.asarray(normal(1, 4, 2, 8))
    np.testing.assert_allclose(
        nnx.dot_product_attention(x, x, x), by_hand(x, x, x), atol=2e-6
    )


Q = (2, 4, 6, 8)
SHAPES = {
    "rank": (Q, Q[1:], Q, "one rank"),
    "too-few": ((4, 8), (4, 8), (4, 8), "3 or more"),
    "batch": (Q, (3, 4, 6, 8), Q, "batch axes"),
    "depth": (Q, (2, 4, 6, 7), Q, "depth, 8 and 7"),
    "length": (Q, (2, 3, 6, 8), Q, "3 keys for 4 values"),
    "heads": (Q, (2, 4, 4, 8), Q, "6 query heads cannot share 4 key heads"),
    "value-heads": (Q, Q, (2, 4, 5, 8), "cannot share 5 value heads"),
}


@pytest.mark.parametrize(("q", "k", "v", "text"), SHAPES.values(), ids=SHAPES)
def test_shapes_that_do_not_fit_are_named(q, k, v, text):
    with pytest.raises(ShapeError, match=rf"{text}(.|\n)*Instead: ") as caught:
        nnx.dot_product_attention(*map(jnp.ones, (q, k, v)))
    assert f"query {q}, key {k}, value {v}" in str(caught.value)


@pytest.mark.parametrize("name", ["mask", "bias"])
def test_masks_and_biases_must_broadcast(name):
    x = jnp.ones((2, 4, 6, 8))
    for shape in ((2, 6, 4, 5), (3, 1, 4, 4), (2, 2, 6, 4, 4)):
        with pytest.raises(ShapeError, match=rf"{name} of shape(.|\n)*\(2, 6, 4, 4\)"):
            nnx.dot_product_attention(x, x, x, **{name: jnp.ones(shape)})


def test_dropout_checks_its_arguments():
    x = jnp.ones((2, 4, 6, 8))
    with pytest.raises(ArgumentValueError, match=r"dropout_rate=1.5(.|\n)*from 0"):
        nnx.dot_product_attention(x, x, x, dropout_rate=1.5)
    with pytest.raises(MissingRngError, match=r"=0.5(.|\n)*deterministic=True"):
        nnx.dot_product_attention(x, x, x, dropout_rate=0.5)
