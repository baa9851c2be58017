"""JAX's key paths through objects: one key for each step, of the usual kinds."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

import oakum as nnx


class Model(nnx.Module):
    def __init__(self):
        self.layers = [nnx.Linear(2, 2, rngs=nnx.Rngs(0)), nnx.relu]
        self.tied = self.layers[0]
        self.pair = (jnp.ones(1), {"a": jnp.ones(2)})
        self.empty = [()]


def paths(tree):
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def test_each_step_is_a_key():
    kernel = (GetAttrKey("layers"), SequenceKey(0), GetAttrKey("kernel"))
    assert (*kernel, GetAttrKey("value")) in paths(Model())
    assert paths(nnx.Rngs(0)) == [
        (GetAttrKey("default"), GetAttrKey(name), GetAttrKey("value"))
        for name in ("count", "key")
    ]


def test_a_tuple_is_a_sequence_and_a_state_a_dict():
    assert (GetAttrKey("pair"), SequenceKey(0)) in paths(Model())
    state = nnx.state(Model())
    assert paths({"s": state})[0][:2] == (DictKey("s"), DictKey("layers"))


TREES = {
    "module": Model,
    "rngs": lambda: nnx.Rngs(0),
    "optimizer": lambda: nnx.Optimizer(Model(), optax.adam(1e-3), wrt=nnx.Param),
    "list": lambda: nnx.List([nnx.Param(1.0), nnx.List([nnx.Param(2.0)])]),
    "nothing": lambda: nnx.List([]),
}


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_paths_and_leaves_are_in_one_order(make):
    tree = make()
    leaves, treedef = jax.tree.flatten(tree)
    pairs, same = jax.tree_util.tree_flatten_with_path(tree)
    assert treedef == same
    assert list(map(id, leaves)) == [id(leaf) for _, leaf in pairs]
    again = jax.tree.unflatten(treedef, leaves)
    assert nnx.graphdef(again) == nnx.graphdef(tree)
    assert jax.tree.structure(again) == treedef


def test_a_path_is_written_as_code():
    names = [jax.tree_util.keystr(path) for path in paths(Model())]
    assert names[:2] == [".layers[0].bias.value", ".layers[0].kernel.value"]


@pytest.mark.parametrize("name", ["module", "optimizer"])
def test_orbax_saves_and_restores_objects(name, tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    tree = model if name == "module" else nnx.Optimizer(model, optax.adam(1e-3))
    blank = jax.tree.map(jnp.zeros_like, tree)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "c", tree)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "c", blank)
    assert type(restored) is type(tree)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), restored, tree)
    assert all(jax.tree.leaves(same))
