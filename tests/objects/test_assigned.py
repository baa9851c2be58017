"""An assigned list or dict goes on being what its own name says: it is no copy."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx

X = jnp.ones(3)


class Model(nnx.Module):
    def __init__(self, part):
        self.part = part


def test_layers_that_are_added_after_the_assignment_are_the_model_s():
    layers: list = []
    model = Model(layers)
    layers.extend([nnx.Param(X), nnx.Param(X)])
    assert len(jax.tree.leaves(nnx.state(model))) == 2
    assert len(model.part) == 2


def test_they_are_there_though_the_name_is_gone():
    def make():
        layers: list = []
        model = Model(layers)
        layers.append(nnx.Param(X))
        return model

    assert len(jax.tree.leaves(nnx.state(make()))) == 1


def test_what_the_model_adds_is_in_the_list():
    layers = [nnx.Param(X)]
    model = Model(layers)
    model.part.append(nnx.Param(X))
    layers.append(nnx.Param(X))
    assert [a is b for a, b in zip(model.part, layers, strict=True)] == [True] * 3


EDITS = {
    "dict": ({"a": 1.0}, lambda p: p["a"], lambda p: p.update(a=9.0)),
    "list": ([1.0], lambda p: p[0], lambda p: p.__setitem__(0, 9.0)),
    "nested": ({"a": [1.0]}, lambda p: p["a"][0], lambda p: p["a"].__setitem__(0, 9.0)),
}


@pytest.mark.parametrize(("part", "read", "edit"), EDITS.values(), ids=EDITS)
def test_an_edit_of_it_is_seen_by_a_compiled_call(part, read, edit):
    model, step = Model(part), nnx.jit(lambda m: X * read(m.part))
    step(model), step(model)
    edit(part)
    assert float(step(model)[0]) == 9.0 == read(model.part)


def test_an_array_that_a_step_writes_is_in_the_dict():
    table = {"a": X}
    model = Model(table)
    nnx.jit(lambda m: m.part.update(a=m.part["a"] * 2))(model)
    assert float(table["a"][0]) == float(model.part["a"][0]) == 2.0


def test_a_literal_costs_a_compiled_call_nothing():
    model, step = Model([nnx.Param(X)]), nnx.jit(lambda m: m.part[0] * 2)
    step(model)
    (plan,) = step.jit._plans.values()
    assert plan._parts == []


def test_a_copy_has_its_own():
    table = {"a": 1.0}
    model = Model(table)
    other = nnx.clone(model)
    table["a"] = 9.0
    assert (model.part["a"], other.part["a"]) == (9.0, 1.0)
