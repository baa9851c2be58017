"""Wrong arguments and inputs of the further layers: what, where and what to do."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, MissingRngError, ShapeError


class Net(nnx.Module):
    def __init__(self, layer):
        self.layers = [layer]

    def __call__(self, x):
        return self.layers[0](x)


def ones(*shape):
    return jnp.ones(shape)


WIDTHS = {
    "linear-general": (
        lambda rngs: nnx.LinearGeneral(3, (4, 2), rngs=rngs),
        (2, 5),
        ("expects 3 at axis -1 (in_features=3)", "build it with in_features=5"),
    ),
    "linear-general-axes": (
        lambda rngs: nnx.LinearGeneral((3, 2), 4, axis=(-2, -1), rngs=rngs),
        (7, 5, 2),
        ("expects (3, 2) at axis (-2, -1)", "build it with in_features=(5, 2)"),
    ),
    "linear-general-batch": (
        lambda rngs: nnx.LinearGeneral(3, 4, batch_axis={0: 2}, rngs=rngs),
        (7, 3),
        ("at axis 0 (batch_axis={0: 2})", "build it with batch_axis={0: 7}"),
    ),
    "einsum": (
        lambda rngs: nnx.Einsum("nta,hab->nthb", (8, 3, 4), rngs=rngs),
        (2, 6, 5),
        ("expects 3 at axis 2 ('a' of kernel_shape=(8, 3, 4))", "has 5 at 'a'"),
    ),
}


@pytest.mark.parametrize(("make", "shape", "texts"), WIDTHS.values(), ids=WIDTHS)
def test_wrong_width_names_path_sizes_and_remedy(make, shape, texts):
    model = Net(make(nnx.Rngs(0)))
    with pytest.raises(ShapeError) as caught:
        model(ones(*shape))
    text = str(caught.value)
    assert "model.layers[0]" in text
    for part in (type(model.layers[0]).__name__, str(shape), *texts):
        assert part in text


@pytest.mark.parametrize(("make", "shape", "texts"), WIDTHS.values(), ids=WIDTHS)
def test_wrong_width_is_found_under_jit_and_leaves_the_model(make, shape, texts):
    model = Net(make(nnx.Rngs(0)))
    before = jax.tree.leaves(nnx.state(model))
    apply = nnx.jit(lambda model, x: model(x))
    with pytest.raises(ShapeError, match=r"layers\[0\]"):
        apply(model, ones(*shape))
    after = jax.tree.leaves(nnx.state(model))
    assert all(a is b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("make", "shape", "texts"), WIDTHS.values(), ids=WIDTHS)
def test_a_scalar_is_no_input(make, shape, texts):
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        make(nnx.Rngs(0))(jnp.float32(1))


RANDOM = {
    "linear-general": lambda **given: nnx.LinearGeneral(3, 4, **given),
    "einsum": lambda **given: nnx.Einsum("ab,bc->ac", (3, 4), **given),
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_rngs_are_asked_for_where_needed(make):
    with pytest.raises(MissingRngError, match=r"got no rngs\n.*nnx.Rngs\(0\)"):
        make()


def test_linear_general_checks_its_axes():
    rngs = nnx.Rngs(0)
    with pytest.raises(
        ArgumentValueError, match=r"2 in_features=\(2, 3\), but 1 axis=\(-1,\)"
    ):
        nnx.LinearGeneral((2, 3), 4, rngs=rngs)
    with pytest.raises(ArgumentValueError, match=r"\{1: 3\}(.|\n)*from 0 without"):
        nnx.LinearGeneral(2, 4, batch_axis={1: 3}, rngs=rngs)


BAD_EQUATION = {
    "implicit": ("ab,bc", r"'ab,bc' is not of the form(.|\n)*->...b"),
    "one": ("ab->a", "is not of the form"),
    "three": ("ab,bc,cd->ad", "is not of the form"),
    "kernel": ("ab,bcd->acd", r"'bcd'.*kernel_shape=\(3, 4\)(.|\n)*name 2 axes"),
}


@pytest.mark.parametrize(("equation", "text"), BAD_EQUATION.values(), ids=BAD_EQUATION)
def test_einsum_checks_its_equation(equation, text):
    with pytest.raises(ArgumentValueError, match=text):
        nnx.Einsum(equation, (3, 4), rngs=nnx.Rngs(0))
    layer = nnx.Einsum("ab,bc->ac", (3, 4), rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentValueError, match=text):
        layer(ones(2, 3), equation)


def test_einsum_needs_an_equation_and_a_bias_that_fits():
    layer = nnx.Einsum(None, (3, 4), (4,), rngs=nnx.Rngs(0))
    assert layer(ones(2, 3), "ab,bc->ac").shape == (2, 4)
    with pytest.raises(ArgumentValueError, match=r"layer(.|\n)*pass einsum_str="):
        layer(ones(2, 3))
    with pytest.raises(ArgumentValueError, match=r"\(4,\)(.|\n)*bias_shape=\(3, 4\)"):
        layer(ones(2, 3), "ab,bc->abc")
