"""Same functions as flax.nnx: activations, pooling, initializers, promote_dtype."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import oakum
from oakum.nn import _activations
from tests.nn.peer import assert_close, flax_nnx, lenient, normal

pytestmark = pytest.mark.peer

F32, BF16 = jnp.float32, jnp.bfloat16
ACTIVATIONS = sorted(
    name
    for name, value in vars(_activations).items()
    if callable(value) and getattr(flax_nnx, name, None) is value
)


def test_activations_are_those_of_flax():
    from flax.nnx.nn import activations

    names = {
        name
        for name in activations.__all__
        if not inspect.isclass(getattr(activations, name))
    }
    assert names == set(ACTIVATIONS)
    assert all(getattr(oakum, name) is getattr(flax_nnx, name) for name in names)


@pytest.mark.parametrize("padding", ["VALID", "SAME", ((1, 0), (0, 1))], ids=str)
@pytest.mark.parametrize("strides", [None, (2, 1)], ids=str)
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [F32, BF16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["avg_pool", "max_pool", "min_pool"])
def test_pooling(name, dtype, lead, strides, padding):
    if len(lead) > 1 and not isinstance(padding, str):
        pytest.skip("flax takes explicit padding for one batch axis alone")
    x = normal((*lead, 5, 4, 3), dtype)
    options = {"strides": strides, "padding": padding}
    with lenient():
        expected = getattr(flax_nnx, name)(x, (2, 3), **options)
    bound = 1e-6 if dtype == F32 else 2e-2
    assert_close(getattr(oakum, name)(x, (2, 3), **options), expected, bound)


@pytest.mark.parametrize("name", ["avg_pool", "max_pool", "min_pool"])
def test_pooling_gradients(name):
    x = normal((2, 5, 4, 3))

    def loss(nnx, x):
        return (getattr(nnx, name)(x, (2, 2), strides=(2, 2)) ** 2).sum()

    with lenient():
        expected = jax.grad(lambda x: loss(flax_nnx, x))(x)
    assert_close(jax.grad(lambda x: loss(oakum, x))(x), expected, 1e-6)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
def test_average_without_padding(lead):
    x = normal((*lead, 5, 4, 3))
    options = {"padding": "SAME", "count_include_pad": False}
    with lenient():
        expected = flax_nnx.avg_pool(x, (2, 3), **options)
    assert_close(oakum.avg_pool(x, (2, 3), **options), expected, 1e-6)


def test_pool_with_another_reduction():
    x = normal((2, 5, 4, 3))
    arguments = (x, 1.0, lax.mul, (2, 2), (1, 2), "SAME")
    with lenient():
        expected = flax_nnx.pool(*arguments)
    assert_close(oakum.pool(*arguments), expected, 1e-6)


INITIALIZERS = [name for name in oakum.nn.initializers.__all__ if name != "Initializer"]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    arguments = {
        "constant": (2.0,),
        "variance_scaling": (1.0, "fan_in", "truncated_normal"),
    }.get(name, ())
    ours = getattr(oakum.initializers, name)
    theirs = getattr(flax_nnx.initializers, name)
    if name not in ("zeros", "ones"):
        ours, theirs = ours(*arguments), theirs(*arguments)
    shape = (3, 3, 4)  # what delta_orthogonal takes as well
    got, expected = (init(jax.random.key(0), shape, F32) for init in (ours, theirs))
    np.testing.assert_array_equal(got, expected)


def test_initializers_are_all_there():
    from flax.nnx import initializers

    public = {name for name in vars(initializers) if not name.startswith("_")}
    assert public - {"tp", "DtypeLikeInexact"} <= set(oakum.initializers.__all__)


@pytest.mark.parametrize("inexact", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        (jnp.ones(2, BF16), jnp.ones(2, F32), None),
        (jnp.ones(2, BF16), np.ones(2)),
        (jnp.ones(2, jnp.int32), None, jnp.ones(2, jnp.int8)),
        (1.5, jnp.ones(2, BF16)),
        (True, 2),
    ],
    ids=["half", "numpy", "integers", "float", "numbers"],
)
def test_promote_dtype(values, inexact):
    from flax.nnx.nn import dtypes

    with lenient():
        expected = dtypes.promote_dtype(values, inexact=inexact)
    got = oakum.nn.promote_dtype(values, inexact=inexact)
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert_close(a, b, 0.0)
