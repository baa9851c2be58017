"""Same seed, same numbers as flax.nnx: MultiHeadAttention, its dropout and cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.nn import peer
from tests.nn.peer import BF16, F32, flax_nnx, lenient

pytestmark = pytest.mark.peer


def normal(shape, dtype=F32, seed=1):
    # NumPy's, as JAX's compile for each shape.
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


CAUSAL = jnp.tril(jnp.ones((1, 1, 5, 5)))


def builder(**options):
    """Builds the layer; `decode` has to be given to flax."""
    options = {"num_heads": 4, "in_features": 8, "decode": False, **options}
    return lambda nnx: nnx.MultiHeadAttention(rngs=nnx.Rngs(0), **options)


LAYERS = {
    "plain": {},
    "sizes": {"qkv_features": 12, "out_features": 6},
    "groups": {"num_kv_heads": 2, "normalize_qk": True, "qkv_features": 32},
    "one-kv-head": {"num_kv_heads": 1, "use_bias": False},
    "precision": {"precision": "highest"},
    "inits": {
        "kernel_init": jax.nn.initializers.he_normal(),
        "bias_init": jax.nn.initializers.normal(),
        "out_kernel_init": jax.nn.initializers.normal(),
        "out_bias_init": jax.nn.initializers.ones,
    },
    "no-dropout": {"dropout_rate": 0.5, "deterministic": True},
    "keeps-none": {"dropout_rate": 0.5, "deterministic": True, "keep_rngs": False},
}


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
def test_layer(options):
    peer.assert_parity(builder(**options), normal((2, 5, 8)), gradients=False)


def gradients(nnx, layer, x):
    """Of parameters and input, by name; compiled, a tenth of the time of eager."""

    def loss(layer, x):
        out = layer(x, mask=CAUSAL)
        return (out**2 + out).sum()

    params, inputs = nnx.jit(nnx.grad(loss, argnums=(0, 1)))(layer, x)
    return {**peer.arrays(nnx, params), "input": np.asarray(inputs)}


def test_gradients_and_dropout():
    build = builder(
        num_kv_heads=2,
        normalize_qk=True,
        qkv_features=32,
        dropout_rate=0.4,
        deterministic=False,
        broadcast_dropout=False,
    )
    ours, theirs = peer.both(build)
    x = normal((2, 5, 8))
    got = gradients(oakum, ours, x)
    with lenient():
        expected = gradients(flax_nnx, theirs, x)
    assert got.keys() == expected.keys()
    bound = 2e-6 * max(np.abs(grad).max() for grad in expected.values())
    for name, grad in expected.items():
        np.testing.assert_allclose(got[name], grad, 0, bound, err_msg=name)


def test_each_call_draws_its_own_dropout():
    build = builder(dropout_rate=0.5, deterministic=False)
    peer.assert_parity(build, normal((2, 5, 8)), steps=3, gradients=False)


DTYPES = {
    "bfloat16": (BF16, BF16, BF16),
    "compute-bfloat16": (BF16, F32, F32),
    "params-bfloat16": (None, BF16, F32),
}


@pytest.mark.parametrize(("dtype", "params", "x"), DTYPES.values(), ids=DTYPES)
def test_dtypes(dtype, params, x):
    build = builder(dtype=dtype, param_dtype=params, normalize_qk=True)
    peer.assert_parity(build, normal((2, 5, 8), x), gradients=False, tolerance=2e-2)


CALLS = {
    "mask": {"mask": CAUSAL},
    "causal": {"is_causal": True},
    "mask-and-causal": {"mask": jnp.ones((2, 4, 5, 5)), "is_causal": True},
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_call(call):
    peer.assert_parity(builder(), normal((2, 5, 8)), gradients=False, **call)


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_weights_are_recorded():
    ours, theirs = peer.both(builder(num_kv_heads=2))
    x = normal((2, 5, 8))
    with lenient():
        expected = theirs(x, sow_weights=True)
    peer.assert_close(ours(x, sow_weights=True), expected, 1e-6)
    for layer in (ours, theirs):
        assert type(layer.attention_weights).__name__ == "Intermediate"
    got = ours.attention_weights.get_value()[0]
    peer.assert_close(got, theirs.attention_weights.get_value()[0], 1e-6)


@pytest.mark.parametrize("n_inputs", [2, 3])
def test_keys_and_values_of_another_input(n_inputs):
    ours, theirs = peer.both(builder(in_kv_features=6, num_kv_heads=2))
    inputs = [normal((2, 5, 8)), normal((2, 3, 6)), normal((2, 3, 6), seed=4)]
    with lenient():
        expected = theirs(*inputs[:n_inputs])
    peer.assert_close(ours(*inputs[:n_inputs]), expected, 1e-6)


def test_attention_fn_gets_the_arguments_that_flax_gives():
    seen = []

    def attend(query, key, value, **options):
        seen.append(options)
        return query

    for layer in peer.both(builder(attention_fn=attend, dropout_rate=0.5)):
        with lenient():
            layer(normal((2, 5, 8)), deterministic=False, is_causal=True)
    ours, theirs = seen
    assert ours.keys() == theirs.keys()
    assert (ours.pop("dropout_rng") == theirs.pop("dropout_rng")).all()
    assert ours == theirs


def test_metadata_is_that_of_flax():
    names = {
        "kernel_metadata": {"a": 1},
        "out_bias_metadata": {"b": 2},
        "query_ln_scale_metadata": {"c": 3},
        "key_ln_scale_metadata": {"d": 4},
    }
    for layer in peer.both(builder(normalize_qk=True, **names)):
        assert (layer.query.kernel.a, layer.out.kernel.a) == (1, 1)
        assert layer.out.bias.b == 2
        assert (layer.query_ln.scale.c, layer.key_ln.scale.d) == (3, 4)
        assert not layer.query.bias.has_metadata("b")


@pytest.mark.parametrize(
    ("dtype", "compiled"),
    [(F32, False), (F32, True), (BF16, True)],
    ids=["eager", "jit", "jit-bfloat16"],
)
def test_decoding(dtype, compiled):
    options = {"dtype": dtype, "param_dtype": dtype, "num_kv_heads": 2}
    ours, theirs = peer.both(
        builder(decode=True, normalize_qk=True, qkv_features=32, **options)
    )
    for layer in (ours, theirs):
        layer.init_cache((2, 4, 8), dtype)
    peer.assert_same_arrays(ours, theirs)
    step = (lambda layer, x: layer(x), oakum.jit(lambda layer, x: layer(x)))[compiled]
    expect = flax_nnx.jit(lambda layer, x: layer(x))
    bound = 1e-6 if dtype == F32 else 2e-2
    for t in range(5):  # one more than there is room for: the last is overwritten
        x = normal((2, 1, 8), dtype, seed=t)
        with lenient():
            expected = expect(theirs, x)
        peer.assert_close(step(ours, x), expected, bound)
        peer.assert_same_arrays(ours, theirs, bound)


def test_decoding_with_a_mask_over_the_cache():
    ours, theirs = peer.both(builder())
    mask = jnp.array([0, 1, 1, 1]).reshape(1, 1, 1, 4)
    for layer in (ours, theirs):
        layer.init_cache((2, 4, 8))
    for t in range(3):
        x = normal((2, 1, 8), seed=t)
        with lenient():
            expected = theirs(x, mask=mask, decode=True)
        peer.assert_close(ours(x, mask=mask, decode=True), expected, 1e-6)
