"""RoPE against its definition, rotation of complex numbers, and each wrong argument."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, ShapeError


def normal(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def turn(x, positions=None, theta=10000.0):
    """Each pair is a complex number; position m turns pair k by m theta^(-2k/size)."""
    x = np.asarray(x, np.float64)
    seq, size = x.shape[-2:]
    positions = np.arange(seq) if positions is None else np.asarray(positions)
    speed = theta ** (-2 * np.arange(size // 2) / size)
    pairs = x[..., : size // 2] + 1j * x[..., size // 2 :]
    pairs = pairs * np.exp(1j * positions[..., None] * speed)
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


TABLES = {"computed": {}, "tables": {"embedding_size": 6, "max_seq_len": 9}}


@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("theta", [10000.0, 500])
@pytest.mark.parametrize("lead", [(), (2, 3)], ids=str)
def test_rotates_pairs(lead, theta, options):
    x = normal(*lead, 7, 6)
    got = nnx.RoPE(theta, **options)(x)
    np.testing.assert_allclose(got, turn(x, theta=theta), atol=1e-5)


@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_positions_may_be_given_for_each_example(options):
    x, rope = normal(2, 3, 4, 6), nnx.RoPE(**options)
    row = jnp.array([3, 0, 11, 5])
    np.testing.assert_allclose(rope(x, row), turn(x, row), atol=1e-5)
    each = jnp.arange(8).reshape(2, 1, 4)
    np.testing.assert_allclose(rope(x, each), turn(x, each), atol=1e-5)


def test_products_depend_on_distance_alone():
    q, k, rope = normal(1, 6), normal(1, 6, seed=1), nnx.RoPE()

    def product(m, n):
        return jnp.vdot(rope(q, jnp.array([m])), rope(k, jnp.array([n])))

    np.testing.assert_allclose(product(5, 2), product(103, 100), atol=1e-4)
    assert abs(product(5, 2) - product(5, 3)) > 1e-2


def test_half_precision_is_kept_and_turns_in_float32():
    x = normal(2000, 6, dtype=jnp.bfloat16)
    for options in ({}, {"embedding_size": 6, "max_seq_len": 2000}):
        out = nnx.RoPE(**options)(x)
        assert out.dtype == jnp.bfloat16
        np.testing.assert_allclose(out.astype("float32"), turn(x), atol=3e-2)


def test_tables_are_variables_and_no_parameters():
    rope = nnx.RoPE(embedding_size=6, max_seq_len=9)
    assert rope.cached_sin.value.shape == rope.cached_cos.value.shape == (9, 3)
    assert not jax.tree.leaves(nnx.state(rope, nnx.Param))
    assert not jax.tree.leaves(nnx.state(nnx.RoPE()))


def arrays(queries=4, keys=4, kv_heads=2):
    return (
        normal(2, queries, 4, 6),
        normal(2, keys, kv_heads, 6, seed=1),
        normal(2, keys, kv_heads, 6, seed=2),
    )


def heads(function, x, *positions):
    """`function` over the sequence of each head."""
    return np.swapaxes(function(np.swapaxes(x, -2, -3), *positions), -2, -3)


@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_attention_rotates_queries_and_keys(options):
    q, k, v = arrays()
    positions = jnp.array([[4, 5, 6, 7], [0, 1, 2, 3]])
    rope = nnx.RoPE(**options)
    attend = functools.partial(nnx.dot_product_attention_with_rope, rope=rope)
    for given in (None, positions, positions[0]):
        batch = None if given is None else np.asarray(given)[..., None, :]
        turned = [jnp.float32(heads(turn, x, batch)) for x in (q, k)]
        expected = nnx.dot_product_attention(*turned, v, is_causal=True)
        got = attend(q, k, v, input_positions=given, is_causal=True)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_keys_of_another_length_count_from_zero():
    q, k, v = arrays(queries=1)
    at = jnp.array([3])
    turned = [jnp.float32(heads(turn, q, at)), jnp.float32(heads(turn, k))]
    got = nnx.dot_product_attention_with_rope(
        q, k, v, rope=nnx.RoPE(), input_positions=at
    )
    np.testing.assert_allclose(got, nnx.dot_product_attention(*turned, v), atol=1e-5)


@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_a_layer_with_rope_is_compiled_once_and_split(options):
    attend = functools.partial(
        nnx.dot_product_attention_with_rope, rope=nnx.RoPE(**options)
    )
    layer = nnx.MultiHeadAttention(2, 12, attention_fn=attend, rngs=nnx.Rngs(0))
    x, traced = normal(2, 5, 12), []

    @nnx.jit
    def apply(layer, x):
        traced.append(1)
        return layer(x)

    for _ in range(3):
        np.testing.assert_allclose(apply(layer, x), layer(x), atol=1e-6)
    assert len(traced) <= 2  # once more where the tables are lifted
    np.testing.assert_array_equal(nnx.merge(*nnx.split(layer))(x), layer(x))


BAD = {
    "size-alone": ({"embedding_size": 6}, r"max_seq_len=None(.|\n)*give both"),
    "length-alone": ({"max_seq_len": 6}, r"embedding_size=None(.|\n)*or neither"),
    "odd": ({"embedding_size": 5, "max_seq_len": 2}, r"size=5(.|\n)*even number"),
    "zero": ({"embedding_size": 0, "max_seq_len": 2}, r"size=0(.|\n)*even number"),
}


@pytest.mark.parametrize(("options", "text"), BAD.values(), ids=BAD)
def test_the_constructor_checks_its_arguments(options, text):
    with pytest.raises(ArgumentValueError, match=text):
        nnx.RoPE(**options)


class Net(nnx.Module):
    def __init__(self, **options):
        self.rope = nnx.RoPE(**options)

    def __call__(self, x, positions=None):
        return self.rope(x, positions)


SHAPES = {
    "odd": ({}, (4, 5), r"even number(.|\n)*\(4, 5\)"),
    "no-seq": ({}, (4,), r"expects \(\.\.\., seq"),
    "scalar": ({}, (), r"expects \(\.\.\., seq"),
    "size": (TABLES["tables"], (4, 8), r"embedding_size=6(.|\n)*embedding_size=8"),
    "long": (TABLES["tables"], (12, 6), r"max_seq_len=9(.|\n)*max_seq_len=12"),
}


@pytest.mark.parametrize(("options", "shape", "text"), SHAPES.values(), ids=SHAPES)
def test_an_input_of_another_size_names_the_path(options, shape, text):
    model = Net(**options)
    with pytest.raises(ShapeError, match=text) as caught:
        model(jnp.ones(shape))
    assert "model.rope" in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), (), (3, 4), (2, 2, 4), (1, 1, 1, 4)], ids=str)
def test_positions_must_fit(shape):
    model = Net()
    text = r"input_positions(.|\n)*\(2, 4, 6\)(.|\n)*model.rope(.|\n)*each of the 4"
    text += r"(.|\n)*swapaxes\(-2, -3\)"
    with pytest.raises(ShapeError, match=text):
        model(jnp.ones((2, 4, 6)), jnp.zeros(shape))


@pytest.mark.parametrize("rope", [None, nnx.RoPE()], ids=["function", "layer"])
def test_input_positions_go_to_who_turns(rope):
    fn = functools.partial(nnx.dot_product_attention_with_rope, rope=nnx.RoPE())
    by = {"rope": rope} if rope else {"attention_fn": fn}
    layer = nnx.MultiHeadAttention(2, 8, decode=False, rngs=nnx.Rngs(0), **by)
    x, at = jax.random.normal(jax.random.key(1), (1, 4, 8)), jnp.array([3, 1, 0, 2])
    turned = layer(x[:, at], input_positions=at)
    assert jnp.allclose(turned, layer(x)[:, at], atol=1e-6)
