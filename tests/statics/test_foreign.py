"""Parts of a model that are no objects of oakum: told when they are set."""

import collections
import types
import warnings
import weakref

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._statics import _foreign
from oakum.errors import ArgumentError, ForeignStateWarning


@pytest.fixture(autouse=True)
def _untold(monkeypatch):
    monkeypatch.setattr(_foreign, "_told", set())


class Forgotten:
    def __init__(self):
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))


class Scale:
    def __init__(self):
        self.factor = jnp.ones(3)


class Slotted:
    __slots__ = ("factor",)

    def __init__(self):
        self.factor = jnp.ones(3)


class Model(nnx.Module):
    pass


HOLDS = {
    "module": (Forgotten, r"Forgotten.*linear \(Linear\)"),
    "array": (Scale, r"Scale.*factor \(ArrayImpl\)"),
    "slots": (Slotted, r"Slotted.*factor"),
    "deeper": (lambda: types.SimpleNamespace(a=Scale()), r"a \(Scale\), which holds"),
    "deque": (lambda: collections.deque([jnp.ones(3)]), r"deque.*\[0\]"),
}


@pytest.mark.parametrize(("make", "text"), HOLDS.values(), ids=HOLDS)
def test_an_object_that_holds_state_is_told_of(make, text):
    model = Model()
    with pytest.warns(ForeignStateWarning, match=rf"{text}(.|\n)*set at.*test_foreign"):
        model.part = make()


def test_an_item_of_a_list_is_told_of_with_the_remedy():
    with pytest.warns(ForeignStateWarning, match=r"class Scale\(nnx\.Module\)"):
        nnx.List([]).append(Scale())


def test_for_a_container_of_python_the_remedy_is_another_one():
    with pytest.warns(ForeignStateWarning, match="Instead: a list or a dict is a part"):
        Model().part = collections.deque([nnx.Param(jnp.ones(3))])


@pytest.mark.peer
def test_a_layer_of_flax_is_told_of():
    peer = pytest.importorskip("flax.nnx")
    model = Model()
    with pytest.warns(ForeignStateWarning, match="(?s)flax.nnx.*import oakum as nnx"):
        model.part = peer.Linear(2, 2, rngs=peer.Rngs(0))


@pytest.mark.parametrize(
    "value",
    [types.SimpleNamespace(a=1, b="x"), nnx.static(Scale()), nnx.relu, jnp.float32],
    ids=["configuration", "static", "function", "dtype"],
)
def test_what_holds_no_state_or_is_marked_is_not_told_of(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Model().part = value


class Tracked(list):
    """A list that JAX does not know, as Keras keeps its layers in."""


def test_a_list_that_jax_does_not_know_is_configuration():
    model = nnx.Dict(layer=nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    with pytest.warns(ForeignStateWarning, match=r"Tracked(.|\n)*\[0\] \(Linear\)"):
        model.layers = Tracked([model.layer])
    assert not nnx.is_data(model.layers)
    assert nnx.to_pure_dict(nnx.state(model)).keys() == {"layer"}
    x, out = jnp.ones((1, 2)), model.layer(jnp.ones((1, 2))).tolist()
    assert nnx.jit(lambda x: model.layers[0](x))(x).tolist() == out
    assert nnx.jit(lambda m, x: m.layers[0](x))(model, x).tolist() == out


def test_slots_in_a_module_are_refused():
    with pytest.raises(
        ArgumentError, match=r"Held has __slots__ = \('w',\)(.|\n)*leave"
    ):

        class Held(nnx.Module):
            __slots__ = ("w",)


@pytest.mark.parametrize("name", ["_version", "_mark", "_form", "_frame", "_origin"])
def test_no_name_of_an_attribute_is_taken(name):
    model = Model()
    setattr(model, name, nnx.Param(jnp.ones(3)))
    assert list(nnx.state(model)) == [name]


def test_a_proxy_is_configuration():
    held, model = Scale(), Model()
    held.by = 2.0
    model.part = weakref.proxy(held)
    step = nnx.jit(lambda m, x: x * m.part.by)
    assert step(model, 3.0) == 6.0
    assert nnx.to_pure_dict(nnx.state(model)) == {}
