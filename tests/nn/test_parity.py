"""Same seed, same numbers as flax.nnx: Linear, Conv, Embed, Dropout, Sequential.

Parameters are compared bit for bit; outputs, gradients and state to 1e-6 of their
largest element in float32.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import oakum
from tests.nn.peer import (
    BF16,
    DTYPES,
    F32,
    PADDINGS,
    assert_close,
    assert_parity,
    both,
    flax_nnx,
    lenient,
    normal,
)

pytestmark = pytest.mark.peer

F16 = jnp.float16
MORE_DTYPES = [*DTYPES, pytest.param(F16, F32, F32, id="compute-float16")]


def slow_dot(*args, **kwargs):
    return lax.dot_general(*args, **kwargs) * 2


def half_everything(arrays, *, dtype=None, inexact=True):
    return tuple(None if a is None else jnp.asarray(a, BF16) for a in arrays)


def tolerance_of(*dtypes) -> float:
    return 2e-2 if {BF16, F16} & set(dtypes) else 1e-6


LINEAR = {
    "plain": {},
    "no-bias": {"use_bias": False},
    "precision": {"precision": lax.Precision.HIGHEST},
    "precision-word": {"precision": "high"},
    "accumulate": {"preferred_element_type": F32, "dtype": BF16},
    "dot-general": {"dot_general": slow_dot},
    "promote": {"promote_dtype": half_everything},
    "inits": {
        "kernel_init": jax.nn.initializers.he_normal(),
        "bias_init": jax.nn.initializers.normal(),
    },
}


@pytest.mark.parametrize("options", LINEAR.values(), ids=LINEAR)
@pytest.mark.parametrize("lead", [(), (2, 3), (0,)], ids=str)
def test_linear(options, lead):
    def build(nnx):
        return nnx.Linear(3, 5, rngs=nnx.Rngs(0), **options)

    half = {"promote_dtype", "preferred_element_type"} & options.keys()
    assert_parity(build, normal((*lead, 3)), tolerance=2e-2 if half else 1e-6)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), MORE_DTYPES)
def test_linear_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        return nnx.Linear(
            3, 5, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(params=3)
        )

    bound = tolerance_of(dtype, param_dtype, input_dtype)
    assert_parity(build, normal((4, 3), input_dtype), tolerance=bound)


@pytest.mark.parametrize(
    "x",
    [jnp.arange(6).reshape(2, 3), jax.lax.complex(normal((2, 3)), normal((2, 3)))],
    ids=["integers", "complex"],
)
def test_linear_of_other_numbers(x):
    ours, theirs = both(lambda nnx: nnx.Linear(3, 5, rngs=nnx.Rngs(0)))
    with lenient():
        expected = theirs(x)
    assert_close(ours(x), expected, 1e-6)


WINDOWS = {
    "strides": {"strides": (2, 3)},
    "dilations": {"kernel_dilation": (1, 2), "strides": 1},
    "groups": {"feature_group_count": 2, "strides": 2},
    "none": {"strides": None, "input_dilation": None, "kernel_dilation": None},
}
GRID = [
    pytest.param(padding, window, id=f"{first}-{second}")
    for first, padding in PADDINGS.items()
    for second, window in WINDOWS.items()
]
# Each padding and each window once or twice, as gradients take their time.
DIAGONAL = [
    pytest.param(padding, window, id=first)
    for (first, padding), window in zip(
        PADDINGS.items(), itertools.cycle(WINDOWS.values())
    )
]
# JAX, and so flax, takes no word for the padding of a dilated input.
TRANSPOSED = [
    pytest.param(2, {"input_dilation": (2, 1)}, id="transposed"),
    pytest.param(((1, 2), (0, 3)), {"input_dilation": 2}, id="transposed-pairs"),
]


@pytest.mark.parametrize(("padding", "window"), GRID)
def test_conv(padding, window):
    def build(nnx):
        size = (3, 2)
        return nnx.Conv(4, 6, size, padding=padding, rngs=nnx.Rngs(0), **window)

    assert_parity(build, normal((2, 9, 8, 4)), gradients=False)


@pytest.mark.parametrize(("padding", "window"), [*DIAGONAL, *TRANSPOSED])
def test_conv_gradients(padding, window):
    def build(nnx):
        size = (3, 2)
        return nnx.Conv(4, 6, size, padding=padding, rngs=nnx.Rngs(0), **window)

    assert_parity(build, normal((2, 9, 8, 4)))


@pytest.mark.parametrize(
    "padding", ["SAME", "VALID", "CIRCULAR", "REFLECT", "CAUSAL", 1, [(2, 0)]], ids=str
)
@pytest.mark.parametrize(("size", "dilation"), [(3, 3), ([4], 1)], ids=str)
def test_conv_over_one_axis(padding, size, dilation):
    def build(nnx):
        return nnx.Conv(
            2, 3, size, padding=padding, kernel_dilation=dilation, rngs=nnx.Rngs(1)
        )

    assert_parity(build, normal((2, 16, 2)), gradients=False)


@pytest.mark.parametrize(
    ("rank", "lead"), [(1, ()), (2, ()), (2, (2, 3)), (3, (1,))], ids=str
)
def test_conv_batch_axes(rank, lead):
    def build(nnx):
        return nnx.Conv(2, 3, (2,) * rank, rngs=nnx.Rngs(1))

    x = normal((*lead, *(4,) * rank, 2))
    assert_parity(build, x, gradients=bool(lead))


CONV = {
    "no-bias": {"use_bias": False},
    "mask": {"mask": jnp.tril(jnp.ones((3, 2, 4)))},
    "accumulate": {"preferred_element_type": F32, "dtype": BF16},
    "promote": {"promote_dtype": half_everything},
    "precision": {"precision": "highest"},
    "convolution": {
        "conv_general_dilated": lambda *a, **k: 2 * lax.conv_general_dilated(*a, **k)
    },
}


@pytest.mark.parametrize("options", CONV.values(), ids=CONV)
def test_conv_options(options):
    def build(nnx):
        return nnx.Conv(2, 4, 3, rngs=nnx.Rngs(0), **options)

    half = {"promote_dtype", "preferred_element_type"} & options.keys()
    assert_parity(build, normal((2, 7, 2)), tolerance=2e-2 if half else 1e-6)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), MORE_DTYPES)
def test_conv_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        return nnx.Conv(
            2, 4, (3,), dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)
        )

    bound = tolerance_of(dtype, param_dtype, input_dtype)
    assert_parity(build, normal((2, 7, 2), input_dtype), tolerance=bound)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), MORE_DTYPES)
def test_embed(size, dtype, param_dtype, input_dtype):
    def build(nnx):
        return nnx.Embed(
            size, 3, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)
        )

    tokens = jnp.array([[0, 1, 6], [-1, -7, 2]])
    bound = tolerance_of(dtype, param_dtype)
    assert_parity(build, tokens, tolerance=bound)
    ours, theirs = both(build)
    query = normal((2, 4, 3), input_dtype)
    with lenient():
        expected = theirs.attend(query)
    assert_close(
        ours.attend(query), expected, tolerance_of(dtype, param_dtype, input_dtype)
    )


def test_embed_out_of_range_is_nan():
    ours, theirs = both(lambda nnx: nnx.Embed(4, 3, rngs=nnx.Rngs(0)))
    tokens = jnp.array([4, -5, 3])
    with lenient():
        expected = theirs(tokens)
    np.testing.assert_array_equal(ours(tokens), expected)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("dims", [(), (0,), (1, -1)], ids=str)
@pytest.mark.parametrize("dtype", [F32, BF16], ids=["float32", "bfloat16"])
def test_dropout(rate, dims, dtype):
    def build(nnx):
        return nnx.Dropout(rate, broadcast_dims=dims, rngs=nnx.Rngs(0))

    assert_parity(build, normal((3, 4, 5), dtype), steps=3)


@pytest.mark.parametrize(
    "source",
    [
        lambda nnx: nnx.Rngs(7),
        lambda nnx: nnx.Rngs(0, dropout=7),
        lambda nnx: nnx.Rngs(7)["dropout"],
        lambda nnx: jax.random.key(7),
    ],
    ids=["rngs", "named", "stream", "key"],
)
def test_dropout_draws_from_what_the_call_gives(source):
    x = normal((3, 4))
    with lenient():
        expected = flax_nnx.Dropout(0.5)(x, rngs=source(flax_nnx))
    assert_close(oakum.Dropout(0.5)(x, rngs=source(oakum)), expected, 1e-6)


def test_dropout_with_a_collection_of_its_own():
    def build(nnx):
        rngs = nnx.Rngs(0, noise=5)
        return nnx.Dropout(0.5, rng_collection="noise", rngs=rngs)

    assert_parity(build, normal((3, 4)), steps=2, gradients=False)


def test_dropout_flags():
    x = normal((3, 4))
    for call in ({"deterministic": True}, {"deterministic": False}):
        for flag in (True, False, None):

            def build(nnx, flag=flag):
                return nnx.Dropout(0.5, deterministic=flag, rngs=nnx.Rngs(0))

            assert_parity(build, x, gradients=False, **call)


def test_sequential_passes_on_what_each_returns():
    def build(nnx):
        return nnx.Sequential(
            nnx.Linear(3, 4, rngs=nnx.Rngs(0)),
            lambda x: (x, 2 * x),
            lambda x, y: {"a": x, "b": y},
            lambda a, b: a + b,
        )

    ours, theirs = both(build)
    with lenient():
        expected = theirs(normal((2, 3)))
    assert_close(ours(normal((2, 3))), expected, 1e-6)
    empty, peer = both(lambda nnx: nnx.Sequential())
    assert empty() is peer() is None
    assert empty(1) == peer(1) == 1
    assert empty(1, 2) == peer(1, 2) == (1, 2)
    assert empty(a=1) == peer(a=1) == {"a": 1}


def test_sequential_hands_rngs_to_those_that_take_them():
    def build(nnx):
        linear = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
        return nnx.Sequential(linear, nnx.Dropout(0.5), nnx.relu, nnx.Dropout(0.5))

    ours, theirs = both(build)
    with lenient():
        expected = theirs(normal((2, 3)), rngs=flax_nnx.Rngs(4))
    assert_close(ours(normal((2, 3)), rngs=oakum.Rngs(4)), expected, 1e-6)


@pytest.mark.parametrize("dtype", [None, BF16], ids=["inferred", "bfloat16"])
@pytest.mark.parametrize("input_dtype", [F32, BF16], ids=["float32", "half"])
def test_prelu(dtype, input_dtype):
    def build(nnx):
        return nnx.PReLU(0.3, dtype=dtype)

    bound = tolerance_of(dtype, input_dtype)
    assert_parity(build, normal((5, 4), input_dtype), tolerance=bound)


def test_the_next_layer_gets_the_key_that_flax_gives_it():
    def build(nnx):
        rngs = nnx.Rngs(0)
        return nnx.Sequential(
            nnx.LayerNorm(3, rngs=rngs),
            nnx.Linear(3, 4, rngs=rngs),
            nnx.BatchNorm(4, rngs=rngs),
            nnx.relu,
            nnx.Dropout(0.3, rngs=rngs),
            nnx.Linear(4, 4, use_bias=False, rngs=rngs),
            nnx.RMSNorm(4, use_scale=False, rngs=rngs),
            nnx.GroupNorm(4, 2, rngs=rngs),
            nnx.Linear(4, 2, rngs=rngs),
        )

    assert_parity(build, normal((6, 3)), steps=2, tolerance=1e-5)
