"""A plain list or dict as attribute is the very object that was assigned."""

import copy
import gc
import pickle
import weakref

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx

X = jnp.ones(3)


class Model(nnx.Module):
    def __init__(self, part):
        self.part = part


def linear():
    return nnx.Linear(3, 3, rngs=nnx.Rngs(0))


def test_it_is_what_was_assigned():
    layers, table = [linear()], {"a": [X]}
    model = Model((layers, table))
    assert model.part[0] is layers
    assert model.part[1] is table
    assert type(table["a"]) is list


def test_it_is_a_pytree_beside_its_like():
    model = Model({"w": X})
    assert jax.tree.map(jnp.add, model.part, {"w": X})["w"].tolist() == [2.0] * 3


def test_an_optax_state_keeps_its_type():
    tx = optax.trace(0.5)
    model = Model(tx.init({"w": X}))
    before = jax.tree.structure(model.part)
    nnx.jit(lambda m: setattr(m, "part", tx.update({"w": X}, m.part)[1]))(model)
    assert jax.tree.structure(model.part) == before
    assert model.part.trace["w"].tolist() == X.tolist()


def test_layers_that_are_added_after_the_assignment_are_the_model_s():
    layers: list = []
    model = Model(layers)
    layers.extend([nnx.Param(X), nnx.Param(X)])
    assert len(jax.tree.leaves(nnx.state(model))) == 2


EDITS = {
    "append": ([X], lambda p: p.append(X)),
    "insert": ([X, 1.0], lambda p: p.insert(0, 2.0)),
    "pop": ([X, X], lambda p: p.pop()),
    "reverse": ([X, 2.0], lambda p: p.reverse()),
    "clear": ([X], lambda p: p.clear()),
    "item of static": ([X, 1.0], lambda p: p.__setitem__(1, 9.0)),
    "array of another": ([X], lambda p: p.__setitem__(0, 9 * X)),
    "array of a number": ([1.0], lambda p: p.__setitem__(0, X)),
    "Variable": ([nnx.Param(X)], lambda p: p.__setitem__(0, nnx.Param(9 * X))),
    "same place": ([1.5], lambda p: (p.clear(), p.append(2.5))),
    "nested": ([[1.0], X], lambda p: p[0].append(9.0)),
    "in a tuple": ([([1.0], X)], lambda p: p[0][0].append(9.0)),
    "in a dict": ({"a": [1.0]}, lambda p: p["a"].append(9.0)),
    "dict item": ({"a": X}, lambda p: p.update(a=9 * X)),
    "dict key": ({"a": X}, lambda p: p.update(b=X)),
    "dict deletion": ({"a": X, "b": X}, lambda p: p.pop("a")),
    "dict order": ({"a": X, "b": 2 * X}, lambda p: p.update(a=p.pop("a"))),
}


def total(model):
    """A number that tells contents, their places and the order of keys."""
    leaves = [leaf for leaf in jax.tree.leaves(model.part)]
    keys = list(model.part) if type(model.part) is dict else []
    places = sum([(i + 2) * ord(key) for i, key in enumerate(keys)])
    return X * places + sum([(i + 1) * jnp.sum(x) for i, x in enumerate(leaves)])


@pytest.mark.parametrize(("part", "edit"), EDITS.values(), ids=EDITS)
def test_an_edit_of_it_is_seen_by_a_compiled_call(part, edit):
    model, step = Model(copy.deepcopy(part)), nnx.jit(total)
    step(model), step(model)
    edit(model.part)
    assert step(model).tolist() == total(model).tolist()


@pytest.mark.parametrize("edit", [e for _, e in EDITS.values()], ids=EDITS)
@pytest.mark.parametrize("transform", [nnx.jit, nnx.remat], ids=["jit", "remat"])
def test_an_edit_inside_of_a_body_arrives_in_place(transform, edit, request):
    part = EDITS[request.node.callspec.id.partition("-")[2]][0]
    expected, model = Model(copy.deepcopy(part)), Model(copy.deepcopy(part))
    held, step = model.part, transform(lambda m: edit(m.part))
    edit(expected.part), step(model)
    assert model.part is held
    assert jax.tree.structure(held) == jax.tree.structure(expected.part)
    assert total(model).tolist() == total(expected).tolist()


@pytest.mark.parametrize(
    "duplicate",
    [nnx.clone, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["clone", "deepcopy", "pickle"],
)
def test_a_copy_has_its_own_and_shares_what_was_shared(duplicate):
    table = {"a": 1.0, "f": lambda x: x}
    model = Model((table, table))
    other = duplicate(model)
    table["a"] = 9.0
    assert other.part[0] is other.part[1]
    assert other.part[0]["a"] == 1.0


def test_one_that_is_shared_is_one_in_a_body():
    layers = [linear()]
    model = Model((layers, layers))
    nnx.jit(lambda m: m.part[0].append(nnx.Param(X)))(model)
    assert model.part[0] is model.part[1] is layers
    assert len(layers) == 2


def test_a_cycle_through_it_is_closed_again():
    model = Model([])
    model.part.append(model)
    other = nnx.clone(model)
    assert other.part[0] is other
    nnx.jit(lambda m: m.part[0].part.append(1))(model)
    assert model.part == [model, 1]


def test_what_a_body_does_under_another_name_is_done_to_the_argument():
    layers: list = []
    model = Model(layers)

    @nnx.jit
    def step(m, x):
        layers.append(nnx.Param(x))
        return len(m.part)

    assert [int(step(model, X)), int(step(model, X))] == [1, 2]
    assert len(layers) == 2
    assert layers[1].value.tolist() == X.tolist()


def test_a_failing_body_leaves_it_as_it_was():
    layers = [1, 2]
    model = Model(layers)

    @nnx.jit
    def step(m):
        m.part.append(3)
        layers.append(4)
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        step(model)
    assert model.part is layers
    assert layers == [1, 2]


def test_one_call_is_traced_once_for_arrays_in_it():
    traces = []

    @nnx.jit
    def step(m):
        traces.append(1)
        m.part["a"] = m.part["a"] * 2

    model = Model({"a": X})
    for _ in range(3):
        step(model)
    model.part["a"] = X
    step(model)
    assert (len(traces), model.part["a"].tolist()) == (1, [2.0] * 3)


def test_a_plan_keeps_no_model_alive_by_its_list():
    step = nnx.jit(lambda m: m.part[0] * 2)
    model = Model([nnx.Param(X)])
    model.part.append(Model(model))
    step(model), step(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_an_item_that_is_marked_makes_it_a_list_of_ours():
    model = Model([nnx.data(1.0), 2.0])
    assert type(model.part) is nnx.List
    assert jax.tree.leaves(model) == [1.0]
