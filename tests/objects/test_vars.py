"""`vars(module)` and `module.__dict__`: an edit there is an edit of the module."""

import copy
import functools
import inspect
import pickle
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx

X = jnp.ones(3)


class Model(nnx.Module):
    def __init__(self):
        self.k = 1.0
        self.w = nnx.Param(X)

    @property
    def scale(self):
        return self.__dict__["_scale"]

    @scale.setter
    def scale(self, value):
        self.__dict__["scale"] = self.__dict__["_scale"] = value

    @functools.cached_property
    def size(self):
        return 3.0 * self.k


EDITS = {
    "item": lambda m: vars(m).__setitem__("k", 9.0),
    "update": lambda m: vars(m).update(k=9.0),
    "or": lambda m: m.__dict__.__ior__({"k": 9.0}),
    "deleted and set": lambda m: (vars(m).pop("k"), vars(m).setdefault("k", 9.0)),
    "cleared": lambda m: [d := vars(m), w := m.w, d.clear(), d.update(k=9.0, w=w)],
    "replaced": lambda m: setattr(m, "__dict__", {"k": 9.0, "w": m.w}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_is_seen_by_a_compiled_call(edit):
    model, step = Model(), nnx.jit(lambda m: m.w * m.k)
    step(model), step(model)
    edit(model)
    assert step(model).tolist() == [9.0] * 3
    assert set(vars(model)) == {"k", "w"}


def test_an_edit_inside_of_a_body_arrives():
    model = Model()
    nnx.jit(lambda m: vars(m).update(k=m.k + 1, new=m.w * 2))(model)
    assert (model.k, model.new.tolist()) == (2.0, [2.0] * 3)


def test_a_write_to_captured_state_is_blocked():
    model = Model()
    with pytest.raises(nnx.TraceContextError, match=r"model"):
        jax.jit(lambda x: vars(model).update(k=x))(X)
    assert model.k == 1.0


def test_it_reads_as_a_dict():
    model = Model()
    attributes = vars(model)
    model.new = 2
    assert isinstance(attributes, dict)
    assert list(attributes) == ["k", "w", "new"]
    assert {**attributes} == dict(attributes) == attributes.copy()
    assert (attributes["new"], attributes.get("nope"), len(attributes)) == (2, None, 3)
    assert {"k", "w"} <= set(dir(model))


def test_a_plain_list_that_is_set_so_stays_what_it_is():
    model, layers = Model(), [nnx.Param(X)]
    vars(model)["layers"] = layers
    assert model.layers is layers
    assert len(jax.tree.leaves(model)) == 2


def test_properties_and_cached_ones_keep_their_values_there():
    model = Model()
    model.scale = 2.0
    assert (model.scale, model.size, vars(model)["size"]) == (2.0, 3.0, 3.0)
    assert float(jax.jit(lambda x: x * Model().size)(1.0)) == 3.0


MISSING = {
    "item": lambda d: d["nope"],
    "deletion": lambda d: d.__delitem__("nope"),
    "pop": lambda d: d.pop("nope"),
    "popitem": lambda d: (d.clear(), d.popitem()),
}


@pytest.mark.parametrize("program", MISSING.values(), ids=MISSING)
def test_what_is_not_there_is_a_key_error(program):
    with pytest.raises(KeyError, match=r"nope|no attributes"):
        program(vars(Model()))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_copies_have_attributes_of_their_own(again):
    model = Model()
    other = again(model)
    vars(other)["k"] = 5.0
    assert (model.k, other.k) == (1.0, 5.0)
    assert pickle.loads(pickle.dumps(vars(other)))["k"] == 5.0


@runtime_checkable
class Scaled(Protocol):
    k: Any


def test_who_looks_past_getattr_finds_the_attributes():
    model = Model()
    assert isinstance(model, Scaled)
    assert inspect.getattr_static(model, "k") == 1.0
    object.__delattr__(model, "k")
    assert not isinstance(model, Scaled)


def test_the_dict_outlives_its_module():
    attributes = vars(Model())
    attributes["k"] = 2.0
    del attributes["w"]
    assert attributes == {"k": 2.0}


def test_it_is_a_pytree_as_a_dict_is():
    model = Model()
    doubled = jax.tree.map(lambda x: x * 2, vars(model))
    assert (type(doubled), doubled["k"], doubled["w"].tolist()) == (dict, 2.0, [2] * 3)
