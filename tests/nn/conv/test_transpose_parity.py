"""Same numbers as flax.nnx: ConvTranspose and InstanceNorm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.nn.peer import (
    BF16,
    F32,
    HALF_DTYPES,
    PADDINGS,
    assert_close,
    assert_parity,
    both,
    half_everything,
    lenient,
    normal,
    ramp,
)

pytestmark = pytest.mark.peer

# A gradient here is a small difference of large terms, so rounding weighs more.
NORM_TOLERANCE = 2e-6


WINDOWS = {
    "plain": {},
    "strides": {"strides": (2, 3)},
    "dilation": {"kernel_dilation": (1, 2), "strides": 2},
    "transposed": {"transpose_kernel": True, "strides": (3, 2)},
}
GRADIENTS = {("circular", "strides"), ("pairs", "transposed")}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padding", [p for p in PADDINGS if p != "reflect"])
def test_conv_transpose(padding, window):
    def build(nnx):
        options = {"padding": PADDINGS[padding], **WINDOWS[window]}
        return nnx.ConvTranspose(2, 3, (4, 3), rngs=nnx.Rngs(0), **options)

    with_gradients = (padding, window) in GRADIENTS
    assert_parity(build, normal((2, 5, 6, 2)), gradients=with_gradients)


@pytest.mark.parametrize("padding", ["SAME_LOWER", "CIRCULAR", [(6, 0)]], ids=str)
@pytest.mark.parametrize("size", [2, 5, [9]], ids=str)
def test_conv_transpose_over_one_axis(padding, size):
    def build(nnx):
        options = {"kernel_init": ramp, "rngs": nnx.Rngs(1)}
        return nnx.ConvTranspose(2, 3, size, padding=padding, **options)

    assert_parity(build, normal((2, 4, 2)), gradients=False)


@pytest.mark.parametrize(
    ("rank", "lead"), [(1, ()), (2, (2, 3)), (3, (1,))], ids=["one", "two", "three"]
)
@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR"])
def test_conv_transpose_batch_axes(rank, lead, padding):
    def build(nnx):
        options = {"padding": padding, "kernel_init": ramp, "rngs": nnx.Rngs(1)}
        return nnx.ConvTranspose(2, 3, (2,) * rank, 2, **options)

    assert_parity(build, normal((*lead, *(3,) * rank, 2)), gradients=False)


CONV = {
    "no-bias": {"use_bias": False},
    "bias-init": {"bias_init": ramp},
    "mask": {"mask": jnp.tril(jnp.ones((3, 2, 4)))},
    "accumulate": {"preferred_element_type": F32, "dtype": BF16},
    "promote": {"promote_dtype": half_everything},
    "precision": {"precision": "highest"},
}


@pytest.mark.parametrize("options", CONV.values(), ids=CONV)
def test_conv_transpose_options(options):
    def build(nnx):
        return nnx.ConvTranspose(2, 4, 3, rngs=nnx.Rngs(0), **options)

    half = {"promote_dtype", "preferred_element_type"} & options.keys()
    bound = 2e-2 if half else 1e-6
    assert_parity(build, normal((2, 7, 2)), tolerance=bound, gradients=False)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES)
def test_conv_transpose_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        options = {"dtype": dtype, "param_dtype": param_dtype}
        return nnx.ConvTranspose(2, 4, (3,), 2, rngs=nnx.Rngs(0), **options)

    bound = 2e-2 if BF16 in (dtype, param_dtype, input_dtype) else 1e-6
    x = normal((2, 7, 2), input_dtype)
    assert_parity(build, x, tolerance=bound, gradients=param_dtype is BF16)


INITS = {
    "scale_init": ramp,
    "bias_init": ramp,
}
NORMS = {
    "plain": ({}, (2, 5, 4)),
    "inits": (INITS, (2, 5, 3, 4)),
    "no-bias": ({"use_bias": False}, (2, 5, 4)),
    "no-scale": ({"use_scale": False}, (2, 5, 4)),
    "slow-variance": ({"use_fast_variance": False, **INITS}, (2, 5, 4)),
    "epsilon": ({"epsilon": 0.1}, (2, 5, 4)),
    "feature-axis": ({"feature_axes": 1, **INITS}, (2, 4, 5)),
    "feature-axes": ({"feature_axes": (-1, 1), "num": 8, **INITS}, (3, 2, 5, 4)),
    "nothing-to-reduce": (INITS, (3, 4)),
}


@pytest.mark.parametrize("case", NORMS)
def test_instance_norm(case):
    given, shape = NORMS[case]
    options = {name: value for name, value in given.items() if name != "num"}
    size = given.get("num", 4)

    def build(nnx):
        return nnx.InstanceNorm(size, rngs=nnx.Rngs(0), **options)

    x = normal(shape)
    gradients = case == "feature-axis"
    assert_parity(build, x, tolerance=NORM_TOLERANCE, gradients=gradients)
    if case == "nothing-to-reduce":
        return
    mask = jnp.asarray(np.arange(np.prod(shape)).reshape(shape) % 3 > 0)
    assert_parity(build, x, tolerance=NORM_TOLERANCE, gradients=False, mask=mask)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES)
def test_instance_norm_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        options = {"dtype": dtype, "param_dtype": param_dtype}
        return nnx.InstanceNorm(4, rngs=nnx.Rngs(0), **options)

    bound = 2e-2 if BF16 in (dtype, param_dtype, input_dtype) else NORM_TOLERANCE
    x = normal((2, 5, 4), input_dtype)
    assert_parity(build, x, tolerance=bound, gradients=False)


def test_instance_norm_promotion_of_the_users():
    def build(nnx):
        return nnx.InstanceNorm(4, promote_dtype=half_everything, rngs=nnx.Rngs(0))

    assert_parity(build, normal((2, 5, 4)), tolerance=2e-2, gradients=False)


def test_instance_norm_over_a_mapped_axis():
    ours, theirs = both(
        lambda nnx: nnx.InstanceNorm(4, axis_name="i", rngs=nnx.Rngs(0))
    )
    x = normal((3, 2, 5, 4))
    with lenient():
        expected = jax.vmap(theirs, axis_name="i")(x)
    assert_close(jax.vmap(ours, axis_name="i")(x), expected, NORM_TOLERANCE)
