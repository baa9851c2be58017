"""What may be set under a name that is marked as static."""

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx


class Model(nnx.Module):
    def __init__(self):
        self.a = nnx.static({"k": 1.0})


class Declared(nnx.Module):
    a: nnx.Static[dict]


STATE = {
    "array": lambda: jnp.ones(3),
    "Variable": lambda: nnx.Param(jnp.ones(3)),
    "module": Model,
    "list": lambda: [nnx.Param(jnp.ones(3))],
    "dict": lambda: {"k": jnp.ones(3)},
    "tuple": lambda: (1, Model()),
}


@pytest.mark.parametrize("make", STATE.values(), ids=STATE)
def test_state_under_a_static_name_is_refused(make):
    model = Model()
    with pytest.raises(ValueError, match=r"Model\.a is marked as static.*(.|\n)*data"):
        model.a = make()
    assert model.a == {"k": 1.0}


@pytest.mark.parametrize("value", [2, {"k": 2.0}, np.ones(3), (1, 2)], ids=str)
def test_configuration_under_a_static_name_stays_static(value):
    model = Model()
    model.a = value
    assert model.a is value
    assert not nnx.state(model)


def test_data_says_that_the_name_is_static_no_more():
    model = Model()
    model.a = nnx.data(jnp.ones(3))
    assert "a" in nnx.state(model)


@pytest.mark.parametrize("make", STATE.values(), ids=STATE)
def test_a_deleted_attribute_takes_its_mark_along(make):
    model = Model()
    del model.a
    model.a = make()
    assert "a" in nnx.state(model) or nnx.is_data(model.a)


def test_a_deleted_attribute_keeps_the_kind_that_its_class_declares():
    model = Declared()
    model.a = nnx.data({"k": 1.0})
    del model.a
    with pytest.raises(ValueError, match=r"Declared\.a"):
        model.a = jnp.ones(3)
