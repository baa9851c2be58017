"""Same numbers as flax.nnx: attention masks and dot_product_attention.

Outputs and gradients are compared to 1e-6 of their largest element in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.nn.peer import assert_close, flax_nnx, lenient

pytestmark = pytest.mark.peer

F32, BF16 = jnp.float32, jnp.bfloat16
ROW = jnp.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]])
MASKS = {
    "attention": lambda nnx: nnx.make_attention_mask(ROW, ROW[:, :3]),
    "fn": lambda nnx: nnx.make_attention_mask(ROW, ROW, jnp.equal, dtype=bool),
    "extra": lambda nnx: nnx.make_attention_mask(ROW, ROW, extra_batch_dims=2),
    "causal": lambda nnx: nnx.make_causal_mask(ROW),
    "causal-row": lambda nnx: nnx.make_causal_mask(ROW[0], dtype=BF16),
    "causal-extra": lambda nnx: nnx.make_causal_mask(ROW, 1, jnp.int32),
    "combined": lambda nnx: nnx.combine_masks(
        nnx.make_causal_mask(ROW), None, nnx.make_attention_mask(ROW, ROW), dtype=bool
    ),
    "one": lambda nnx: nnx.combine_masks(nnx.make_causal_mask(ROW, dtype=bool)),
}


@pytest.mark.parametrize("build", MASKS.values(), ids=MASKS)
def test_masks(build):
    with lenient():
        expected = build(flax_nnx)
    assert_close(build(oakum), expected, 0.0)


def normal(shape, dtype=F32, seed=1):
    # NumPy's, as JAX's compile for each shape.
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def arrays(batch, heads=(4, 4), lengths=(5, 6), dtype=F32):
    """Query, key and value."""
    queries, keys = lengths
    return (
        normal((*batch, queries, heads[0], 8), dtype, 1),
        normal((*batch, keys, heads[1], 8), dtype, 2),
        normal((*batch, keys, heads[1], 8), dtype, 3),
    )


def random_mask(*shape):
    return jnp.asarray(np.random.default_rng(5).random(shape) < 0.6)


def compare(qkv, options, tolerance=1e-6, gradients=True):
    def run(nnx, qkv):
        def loss(qkv):
            out = nnx.dot_product_attention(*qkv, **options)
            wide = out.astype(F32)
            return (wide**2 * normal(out.shape, seed=7) + wide).sum(), out

        if not gradients:
            return nnx.dot_product_attention(*qkv, **options), ()
        (_, out), grads = jax.value_and_grad(loss, has_aux=True)(qkv)
        return out, grads

    # Compiled as one, which takes a tenth of the time of the single operations.
    compiled = jax.jit if gradients else lambda function: function
    got, grads = compiled(lambda qkv: run(oakum, qkv))(qkv)
    with lenient():
        expected, expected_grads = jax.jit(lambda qkv: run(flax_nnx, qkv))(qkv)
    assert_close(got, expected, tolerance)
    # Relative to the largest, as half-precision rounding scales with it.
    scale = max((float(jnp.abs(g).max()) for g in expected_grads), default=1.0)
    for a, b in zip(grads, expected_grads, strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, 0, 2 * tolerance * scale)


RNG = jax.random.key(9)
OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "mask": {"mask": random_mask(2, 1, 5, 6)},
    "mask-heads": {"mask": random_mask(2, 4, 5, 6).astype(F32)},
    "mask-causal": {"mask": random_mask(2, 4, 5, 6), "is_causal": True},
    "mask-nowhere": {"mask": jnp.zeros((2, 1, 5, 6))},
    "bias": {"bias": normal((1, 4, 5, 6), seed=4)},
    "all": {"bias": normal((2, 4, 5, 6), seed=4), "mask": random_mask(2, 4, 5, 6)},
    "deterministic": {"dropout_rate": 0.5, "deterministic": True, "is_causal": True},
    "dropout": {"dropout_rate": 0.3, "dropout_rng": RNG},
    "dropout-each": {
        "dropout_rate": 0.3,
        "dropout_rng": RNG,
        "broadcast_dropout": False,
        "mask": random_mask(2, 4, 5, 6),
        "bias": normal((2, 1, 5, 6), seed=4),
    },
    "precision": {"precision": "highest"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_attention(options):
    compare(arrays((2,), (4, 2)), options, gradients=False)


@pytest.mark.parametrize("name", ["plain", "all", "mask-causal", "dropout-each"])
def test_attention_gradients(name):
    compare(arrays((2,), (4, 2)), OPTIONS[name])


@pytest.mark.parametrize("name", ["plain", "mask-heads", "dropout-each"])
@pytest.mark.parametrize("kv_heads", [4, 1], ids=lambda n: f"kv{n}")
def test_attention_with_as_many_heads_or_one(kv_heads, name):
    compare(arrays((2,), (4, kv_heads)), OPTIONS[name], gradients=False)


@pytest.mark.parametrize("name", ["plain", "mask-causal", "all", "dropout-each"])
def test_attention_in_half_precision(name):
    compare(arrays((2,), (4, 2), dtype=BF16), OPTIONS[name], 2e-2, gradients=False)


def test_fused_attention_in_half_precision():
    # In tests, strict promotion keeps half precision from the fused way.
    with lenient():
        compare(arrays((2,), (4, 2), dtype=BF16), {"is_causal": True}, 2e-2)


@pytest.mark.parametrize("batch", [(), (2, 3), (0,)], ids=str)
@pytest.mark.parametrize("dropout", [False, True], ids=["fused", "dropout"])
def test_attention_batch_axes(batch, dropout):
    options = {"dropout_rate": 0.5, "dropout_rng": RNG} if dropout else {}
    options["mask"] = random_mask(*batch, 4, 5, 6)
    compare(arrays(batch, (4, 2)), options, gradients=False)


def test_attention_dtype_is_taken():
    compare(arrays((2,)), {"dtype": BF16}, 2e-2, gradients=False)
    q, k, v = arrays((2,), dtype=BF16)
    compare((q, k.astype(F32), v), {}, 1e-6, gradients=False)


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
@pytest.mark.parametrize("kv_heads", [4, 2], ids=lambda n: f"kv{n}")
def test_weights_are_recorded(kv_heads):
    qkv, sown = arrays((2,), (4, kv_heads)), []
    for nnx in (oakum, flax_nnx):
        module = nnx.Module()
        with lenient():
            nnx.dot_product_attention(*qkv, module=module, is_causal=True)
        assert isinstance(module.attention_weights, nnx.Intermediate)
        sown.append(module.attention_weights.get_value()[0])
    assert_close(*sown, 1e-6)
