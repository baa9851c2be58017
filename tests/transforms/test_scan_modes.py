"""A step of scan that edits configuration of the carry, such as a mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import StructureError

XS = jnp.arange(1.0, 5.0)


class Model(nnx.Module):
    def __init__(self):
        self.mode, self.sizes = "first", [1.0]
        self.total = nnx.Variable(jnp.zeros(()))


def body(carry, x):
    model, y = carry
    scale = 10.0 if model.mode == "first" else 1.0
    model.mode = "later"
    model.sizes[0] = 2.0
    model.total.value = model.total.value + scale * x
    return (model, y * 2 + x), scale * x * model.sizes[0]


def plainly(xs):
    carry, ys = (Model(), jnp.ones(())), []
    for x in xs:
        carry, y = body(carry, x)
        ys.append(float(y))
    return carry, ys


@pytest.mark.parametrize("wrap", [lambda f: f, nnx.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_each_step_runs_with_what_the_one_before_left(wrap, reverse, steps):
    xs = XS[:steps]
    loop = nnx.scan(body, reverse=reverse)
    model = Model()
    (got, carry), ys = wrap(loop)((model, jnp.ones(())), xs)
    (expected, last), rows = plainly(xs[::-1] if reverse else xs)
    assert got is model
    assert (model.mode, model.sizes) == (expected.mode, expected.sizes)
    assert float(model.total.value) == float(expected.total.value)
    assert float(carry) == float(last)
    np.testing.assert_array_equal(ys, rows[::-1] if reverse else rows)


def test_other_axes_and_shared_arguments():
    @nnx.scan(in_axes=(nnx.Carry, 1, None), out_axes=(nnx.Carry, 1))
    def loop(model, x, k):
        model.mode = "later"
        return model, x * k

    model, x = Model(), jnp.arange(6.0).reshape(2, 3)
    _, ys = loop(model, x, 3.0)
    np.testing.assert_array_equal(ys, x * 3)
    assert model.mode == "later"


def test_a_model_alone_in_a_loop_of_some_length():
    def step(model):
        model.mode = "later"
        model.total.value = model.total.value + 1
        return model

    model = Model()
    nnx.scan(step, length=3, in_axes=nnx.Carry, out_axes=nnx.Carry)(model)
    assert (model.mode, float(model.total.value)) == ("later", 3.0)


def test_what_each_step_edits_anew_is_refused():
    def step(model, x):
        model.mode += "!"
        return model, x

    model = Model()
    with pytest.raises(StructureError, match=r"changes the structure.*\n.*before the"):
        nnx.scan(step)(model, XS)
    assert model.mode == "first"


def test_layers_that_are_looped_over_keep_the_rule():
    layers = nnx.vmap(lambda k: nnx.Linear(1, 1, rngs=nnx.Rngs(k)))(
        jax.random.split(jax.random.key(0), 3)
    )

    def step(model, layer):
        model.mode = "later"
        return model, layer.bias[...]

    with pytest.raises(StructureError, match="before the loop"):
        nnx.scan(step)(Model(), layers)
