"""Same numbers as flax.nnx: LinearGeneral and Einsum."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from tests.nn import peer
from tests.nn.peer import BF16, F32, HALF_DTYPES, lenient

pytestmark = pytest.mark.peer


def double_dot(*args, **kwargs):
    return lax.dot_general(*args, **kwargs) * 2


def double_einsum(*args, **kwargs):
    return jnp.einsum(*args, **kwargs) * 2


def bound_of(options, *dtypes) -> float:
    half = {"promote_dtype", "preferred_element_type"} & options.keys()
    return 2e-2 if half or BF16 in dtypes else 1e-6


AXES = {
    "one": (3, 5, {}, (2, 3)),
    "vector": (3, 5, {}, (3,)),
    "many-out": (3, (4, 5), {}, (2, 3)),
    "many-in": ((2, 3), 4, {"axis": (1, 2)}, (6, 2, 3)),
    "apart": ((6, 3), (4, 2), {"axis": (0, -1)}, (6, 2, 3)),
    "descending": ((2, 3), 4, {"axis": (-1, -2)}, (6, 2, 3)),
    "middle": ([2], [4], {"axis": [1]}, (6, 2, 3)),
    "batch": (3, (4, 5), {"batch_axis": {0: 2}}, (2, 6, 3)),
    "batches": ((3,), 4, {"batch_axis": {0: 2, 1: 5}}, (2, 5, 6, 3)),
}


# Gradients of one case of each kind, as they take thrice the time.
GRADIENTS = {"apart", "dots"}
# Kernels are drawn in these cases, and made without JAX, in less time, in the others.
DRAWN = {"one", "many-out", "batch", "apart"}


@pytest.mark.parametrize("case", AXES)
def test_linear_general(case):
    ins, outs, axes, shape = AXES[case]

    def build(nnx):
        drawn = {} if case in DRAWN else {"kernel_init": peer.ramp}
        options = {"bias_init": peer.ramp, "rngs": nnx.Rngs(0), **drawn}
        return nnx.LinearGeneral(ins, outs, **options, **axes)

    peer.assert_parity(build, peer.normal(shape), gradients=case in GRADIENTS)


OPTIONS = {
    "no-bias": {"use_bias": False},
    "precision": {"precision": lax.Precision.HIGHEST},
    "accumulate": {"preferred_element_type": F32, "dtype": BF16},
    "dot-general": {"dot_general": double_dot},
    "dot-general-cls": {"dot_general_cls": lambda: double_dot},
    "promote": {"promote_dtype": peer.half_everything},
    "kernel-init": {"kernel_init": jax.nn.initializers.he_uniform()},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_linear_general_options(options):
    def build(nnx):
        return nnx.LinearGeneral(
            (2, 3), (4, 5), axis=(-2, -1), rngs=nnx.Rngs(0), **options
        )

    x = peer.normal((4, 2, 3))
    peer.assert_parity(build, x, tolerance=bound_of(options), gradients=False)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES)
def test_linear_general_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        return nnx.LinearGeneral(
            3, (2, 2), dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0)
        )

    bound = bound_of({}, dtype, param_dtype, input_dtype)
    x = peer.normal((4, 3), input_dtype)
    peer.assert_parity(build, x, tolerance=bound, gradients=False)


EQUATIONS = {
    "heads": ("nta,hab->nthb", (8, 2, 4), (8, 4), (3, 5, 2)),
    "blanks": ("nta , hab -> nthb", (8, 2, 4), (8, 4), (3, 5, 2)),
    "no-bias": ("nta,hab->nthb", (8, 2, 4), None, (3, 5, 2)),
    "shared": ("bha,hac->bhc", (4, 2, 3), (4, 3), (5, 4, 2)),
    "dots": ("...a,ab->...b", (3, 4), (4,), (2, 5, 3)),
    "dots-of-none": ("...a,ab->...b", (3, 4), (4,), (3,)),
    "all-dots": ("...ab,...bc->...ac", (2, 4, 3), (2, 3), (5, 2, 6, 4)),
    "transposed": ("ab,bc->ca", (3, 4), (4, 1), (2, 3)),
    "scalar": ("a,a->", (3,), (), (3,)),
}


@pytest.mark.parametrize("case", EQUATIONS)
def test_einsum(case):
    equation, kernel, bias, shape = EQUATIONS[case]

    def build(nnx):
        options = {
            "kernel_init": peer.ramp,
            "bias_init": peer.ramp,
            "rngs": nnx.Rngs(0),
        }
        return nnx.Einsum(equation, kernel, bias, **options)

    peer.assert_parity(build, peer.normal(shape), gradients=case in GRADIENTS)


def test_einsum_takes_the_equation_of_the_call():
    ours, theirs = peer.both(
        lambda nnx: nnx.Einsum("ab,bc->ac", (3, 4), (4,), rngs=nnx.Rngs(0))
    )
    x = peer.normal((5, 2, 3))
    with lenient():
        expected = theirs(x, "xab,bc -> axc")
    peer.assert_close(ours(x, "xab,bc -> axc"), expected, 1e-6)


EINSUM = {
    "precision": {"precision": "highest"},
    "accumulate": {"preferred_element_type": F32, "dtype": BF16},
    "promote": {"promote_dtype": peer.half_everything},
    "einsum-op": {"einsum_op": double_einsum},
}


@pytest.mark.parametrize("options", EINSUM.values(), ids=EINSUM)
def test_einsum_options(options):
    def build(nnx):
        return nnx.Einsum("ab,bc->ac", (3, 4), (4,), rngs=nnx.Rngs(0), **options)

    x = peer.normal((2, 3))
    peer.assert_parity(build, x, tolerance=bound_of(options), gradients=False)


@pytest.mark.parametrize(("dtype", "param_dtype", "input_dtype"), HALF_DTYPES)
def test_einsum_dtypes(dtype, param_dtype, input_dtype):
    def build(nnx):
        options = {"dtype": dtype, "param_dtype": param_dtype, "rngs": nnx.Rngs(0)}
        return nnx.Einsum("ab,bc->ac", (3, 4), (4,), **options)

    bound = bound_of({}, dtype, param_dtype, input_dtype)
    x = peer.normal((4, 3), input_dtype)
    peer.assert_parity(build, x, tolerance=bound, gradients=False)
