"""`merge` again and again: it builds the same each time, around what it is given."""

import gc
import weakref

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._graph._blueprint import blueprint_of


class Net(nnx.Module):
    """One of each kind of attribute."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(2, 2, rngs=rngs)
        self.tied = self.first.kernel
        self.again = self.first
        self.rest = nnx.List([nnx.Linear(2, 2, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)])
        self.named = nnx.Dict(a=nnx.Param(jnp.ones(2)))
        self.plain = [nnx.Param(jnp.zeros(1)), {"b": nnx.Param(jnp.ones(1))}]
        self.table = jnp.arange(3.0)
        self.options = {"width": 2}
        self.act = nnx.relu

    def __call__(self, x):
        return self.act(self.rest[0](self.first(x))) * self.named.a + self.tied.sum()


class Ring(nnx.Module):
    """It leads back to itself."""

    def __init__(self):
        self.weight = nnx.Param(jnp.ones(2))
        self.me = self


class WithMethod(nnx.Module):
    """It holds a method of its own, which no Blueprint builds."""

    def __init__(self):
        self.weight = nnx.Param(jnp.ones(2))
        self.run = self.double

    def double(self):
        return self.weight * 2


MODELS = {
    "each kind": lambda: Net(nnx.Rngs(0)),
    "ring": Ring,
    "method": WithMethod,
    "State": lambda: nnx.state(Net(nnx.Rngs(0))),
    "Variable": lambda: nnx.Param(jnp.ones(2)),
    "container": lambda: nnx.List([nnx.Param(jnp.ones(2)), 3, "a"]),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_each_merge_gives_the_same_structure_around_the_given_state(make):
    graphdef, state = nnx.split(make())
    first, second = nnx.merge(graphdef, state), nnx.merge(graphdef, state)
    assert first is not second or isinstance(first, nnx.Variable)
    for merged in (first, second):
        again, found = nnx.split(merged)
        assert again == graphdef
        for mine, given in zip(*map(jax.tree.leaves, (found, state)), strict=True):
            assert mine is given


def test_shared_parts_cycles_and_order_of_attributes_are_kept():
    graphdef, state = nnx.split(Net(nnx.Rngs(0)))
    model = nnx.merge(graphdef, state)
    assert model.tied is model.first.kernel
    assert model.again is model.first
    assert list(vars(model)) == list(vars(Net(nnx.Rngs(0))))
    ring = nnx.merge(*nnx.split(Ring()))
    assert ring.me is ring


def test_only_what_it_can_build_whole_has_a_blueprint():
    assert blueprint_of(nnx.graphdef(Net(nnx.Rngs(0)))) is not None
    assert blueprint_of(nnx.graphdef(WithMethod())) is None
    merged = nnx.merge(*nnx.split(WithMethod()))
    assert merged.run.__self__ is merged


def test_a_merged_model_goes_without_the_garbage_collector():
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    gc.disable()
    try:
        gone = weakref.ref(nnx.merge(graphdef, state))
        assert gone() is None
    finally:
        gc.enable()


def _two_layers():
    return nnx.List(
        [nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(i)) for i in (0, 1)]
    )


def test_a_variable_in_two_places_of_the_state_is_shared_afterwards():
    graphdef, state = nnx.split(_two_layers())
    nnx.merge(graphdef, state)
    state[1]["kernel"] = state[0]["kernel"]
    model = nnx.merge(graphdef, state)
    assert model[0].kernel is model[1].kernel
    assert len(jax.tree.leaves(model)) == 1
    assert nnx.jit(lambda m: len(nnx.to_flat_state(nnx.state(m))))(model) == 1


@pytest.mark.parametrize("how", ["type", "metadata"])
def test_other_variables_than_the_structure_has_are_described_as_they_are(how):
    graphdef, state = nnx.split(_two_layers())
    nnx.merge(graphdef, state)
    kernel = state[0]["kernel"]
    state[0]["kernel"] = (
        nnx.BatchStat(kernel.get_value())
        if how == "type"
        else kernel.replace(tag="frozen")
    )
    model = nnx.merge(graphdef, state)
    copy = jax.jit(lambda m: m)(model)
    assert type(copy[0].kernel) is type(state[0]["kernel"])
    assert copy[0].kernel.get_metadata() == state[0]["kernel"].get_metadata()


def test_a_compiled_call_sees_what_was_edited_after_the_merge():
    graphdef, state = nnx.split(_two_layers())
    widths = nnx.jit(lambda m: jnp.asarray(len(m)))
    for _ in range(3):
        model = nnx.merge(graphdef, state)
        assert widths(model) == 2
    model = nnx.merge(graphdef, state)
    model.append(nnx.Param(jnp.ones(1)))
    assert widths(model) == 3


def test_a_compiled_call_sees_an_attribute_set_on_the_class_after_the_merge():
    class Scaled(nnx.Module):
        scale = 1.0

        def __init__(self):
            self.weight = nnx.Param(jnp.ones(()))

    call = nnx.jit(lambda m: m.weight * m.scale)
    graphdef, state = nnx.split(Scaled())
    assert [call(nnx.merge(graphdef, state)) for _ in range(2)] == [1, 1]
    model = nnx.merge(graphdef, state)
    Scaled.scale = 3.0
    assert call(model) == 3
