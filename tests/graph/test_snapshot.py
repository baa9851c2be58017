"""What is kept of a node for JAX is dropped as soon as the node is another."""

import copy
import gc
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx


class Net(nnx.Module):
    def __init__(self):
        self.layers = nnx.List(
            [nnx.Linear(2, 2, rngs=nnx.Rngs(i)) for i in range(2)],
        )
        self.scale = 2.0


def _replace(model):
    model.layers[0].kernel = nnx.Param(jnp.zeros((3, 3)))


EDITS = {
    "Variable": _replace,
    "module": lambda m: setattr(m, "layers", nnx.List([m.layers[1]])),
    "item": lambda m: m.layers.append(nnx.Linear(2, 2, rngs=nnx.Rngs(5))),
    "order": lambda m: m.layers.reverse(),
    "tied": lambda m: setattr(m.layers[1], "kernel", m.layers[0].kernel),
    "configuration": lambda m: setattr(m, "scale", 3.0),
    "metadata": lambda m: m.layers[0].bias.set_metadata(tag="x"),
    "bare array": lambda m: setattr(m, "shift", jnp.ones(4)),
    "removed": lambda m: delattr(m.layers[0], "bias"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_leaves_after_an_edit_are_those_of_a_model_made_so(edit):
    model, other = Net(), Net()
    jax.tree.flatten(model)
    before = jax.tree.structure(model)
    edit(model)
    edit(other)
    leaves, treedef = jax.tree.flatten(model)
    expected, structure = jax.tree.flatten(other)
    assert treedef == structure
    assert (
        treedef != before
        or [a.shape for a in leaves] != [(2,), (2, 2)] * 2
        or (edit is EDITS["order"])
    )
    for a, b in zip(leaves, expected, strict=True):
        np.testing.assert_array_equal(a, b)


TAKEN = {
    "split": nnx.split,
    "split by filter": lambda m: nnx.split(m, nnx.Param, ...),
    "state": lambda m: (nnx.graphdef(m), nnx.state(m)),
    "variables": lambda m: (nnx.graphdef(m), nnx.variables(m)),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
@pytest.mark.parametrize("take", TAKEN.values(), ids=list(TAKEN))
def test_state_after_an_edit_is_that_of_a_model_made_so(take, edit):
    model, other = Net(), Net()
    take(model)
    edit(model)
    edit(other)
    (graphdef, *states), (structure, *expected) = take(model), take(other)
    assert graphdef == structure
    for mine, others in zip(states, expected, strict=True):
        found, known = nnx.to_flat_state(mine), nnx.to_flat_state(others)
        assert [path for path, _ in found] == [path for path, _ in known]
        for (_, a), (_, b) in zip(found, known, strict=True):
            assert type(a) is type(b)
            np.testing.assert_array_equal(a, b)


def test_the_state_of_a_model_holds_its_very_variables_each_time():
    model = Net()
    for _ in range(3):
        assert nnx.state(model).layers[0].kernel is model.layers[0].kernel
        assert nnx.split(model)[1].layers[1].bias is model.layers[1].bias


def test_values_are_those_of_now():
    model = Net()
    jax.tree.leaves(model)
    model.layers[0].bias[...] += 1
    assert jax.tree.leaves(model)[0][0] == 1


def test_a_model_that_was_flattened_is_free_to_go():
    model = Net()
    jax.tree.leaves(model)
    gone = weakref.ref(model), weakref.ref(model.layers[0].kernel)
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_plain_jit_traces_a_model_once_and_again_for_another_structure():
    traces = [0]

    @jax.jit
    def total(model):
        traces[0] += 1
        return sum(x.sum() for x in jax.tree.leaves(model)) * model.scale

    model = Net()
    for _ in range(3):
        total(model)
    assert traces == [1]
    model.scale = 5.0
    assert total(model) == pytest.approx(
        5 * sum(float(x.sum()) for x in jax.tree.leaves(model)), rel=1e-5
    )
    assert traces == [2]


def test_a_model_that_its_configuration_refers_to_is_free_to_go():
    def made():
        model = Net()
        model.again = lambda: model
        model.layers[0].parent = [model]
        jax.tree.leaves(model)
        return weakref.ref(model)

    gone = made()
    gc.collect()
    assert gone() is None


def test_a_copy_of_a_model_that_was_flattened_is_its_own():
    model = Net()
    jax.tree.leaves(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.layers[0].bias[...] += 1
        assert jax.tree.leaves(other)[0][0] == 1
        assert jax.tree.leaves(model)[0][0] == 0
