"""What a program sets on the class of a module is seen by what was compiled before."""

from __future__ import annotations

import pickle
from typing import Any, Protocol
from unittest import mock

import jax.numpy as jnp
import pytest

import oakum as nnx

X = jnp.ones(3)


class Base(nnx.Module):
    rate = 1.0

    def __init__(self):
        self.w = nnx.Param(X)

    def scaled(self, x: Any) -> Any:
        return x * self.w.value * self.rate


class Model(Base):
    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1

    def __call__(self, x: Any) -> Any:
        return self.scaled(x)


def nine(self: Any, x: Any) -> Any:
    return x * self.w.value * 9


def over_rows(model: Any) -> Any:
    rows = nnx.scan(
        lambda m, x: (m, m(x)), in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0)
    )
    return lambda x: rows(model, x[None])[1][0]


def given(model: Any) -> Any:
    step = nnx.jit(lambda m, x: m(x))
    return lambda x: step(model, x)


CALLS = {
    "captured": lambda model: nnx.jit(lambda x: model(x)),
    "scan": over_rows,
    "loop": lambda model: lambda x: nnx.fori_loop(0, 1, lambda i, c: model(c), x),
}
EDITS = {
    "a method": (Model, "__call__", nine),
    "a method of a base": (Base, "scaled", nine),
    "a number": (Model, "rate", 9.0),
    "a number of a base": (Base, "rate", 9.0),
}


PAIRS = [*[("given", edit) for edit in EDITS], *[(way, "a method") for way in CALLS]]


@pytest.mark.parametrize(("way", "edit"), PAIRS)
def test_an_edit_of_a_class_is_seen(way, edit):
    call = given(Model()) if way == "given" else CALLS[way](Model())
    assert call(X)[0] == call(X)[0] == 1.0
    cls, name, value = EDITS[edit]
    with mock.patch.object(cls, name, value):
        assert call(X)[0] == call(X)[0] == 9.0
    assert call(X)[0] == 1.0


def test_a_class_that_is_again_as_it_was_is_compiled_already():
    step, model = nnx.jit(lambda m, x: m(x)), Model()
    step(model, X)
    for _ in "12":
        with mock.patch.object(Model, "rate", 2.0):
            step(model, X)
        step(model, X)
    assert step._cache_size() == 2


def test_a_layer_of_ours_may_be_patched():
    step, layer = nnx.jit(lambda m, x: m(x)), nnx.LayerNorm(3, rngs=nnx.Rngs(0))
    before = step(layer, X)
    with mock.patch.object(nnx.LayerNorm, "__call__", lambda self, x: x * 9):
        assert step(layer, X).tolist() == [9.0, 9.0, 9.0]
    assert step(layer, X).tolist() == before.tolist()


def test_a_count_that_methods_keep_on_their_class_traces_nothing_anew():
    step, model = nnx.jit(lambda m, x: m(x)), Model()
    step(model, X)
    for _ in "123":
        Model()
        step(model, X)
    assert step._cache_size() == 1


def test_the_structure_of_an_edited_class_can_be_pickled():
    with mock.patch.object(Model, "rate", 2.0):
        graphdef, state = nnx.split(Model())
        again = pickle.loads(pickle.dumps(graphdef))
        assert nnx.merge(again, state)(X)[0] == 2.0
    assert nnx.merge(graphdef, state)(X)[0] == 1.0


class Scaled(Protocol):
    def scaled(self, x: Any) -> Any: ...


def test_a_module_may_have_a_protocol_among_its_bases():
    class Both(Model, Scaled):
        pass

    assert Both()(X)[0] == 1.0
