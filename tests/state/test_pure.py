"""flatten, unflatten and call: the leaves of a graph in a row, and pure calls."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, StructureError
from tests.models import snapshot


def make(lib: Any = nnx) -> Any:
    """Shared leaves, a bare array, a method below."""

    class Counter(lib.Module):
        def __init__(self):
            self.count = lib.Variable(jnp.array(0))

        def add(self, n, *, twice=False):
            self.count[...] += 2 * n if twice else n
            return self.count.get_value()

    class Model(lib.Module):
        def __init__(self):
            self.w = lib.Param(jnp.arange(3.0))
            self.tied = self.w
            self.bare = lib.data(jnp.ones(2))
            self.counters = lib.Dict(a=Counter(), b=Counter())

        def __call__(self, x):
            self.counters["a"].add(1)
            return x * self.w

    return Model()


def test_flatten_gives_each_leaf_once_in_canonical_order():
    model = make()
    graphdef, flat = nnx.flatten(model)
    assert graphdef is nnx.graphdef(model)
    assert list(flat) == list(nnx.to_flat_state(nnx.state(model)))
    assert sum(leaf is model.w for leaf in flat.leaves) == 1


@pytest.mark.parametrize("form", [list, nnx.FlatState, nnx.State])
def test_unflatten_builds_what_was_flattened(form):
    model = make()
    graphdef, leaves = nnx.flatten(model, with_paths=form is not list)
    leaves = leaves.to_nested_state() if form is nnx.State else leaves
    new = nnx.unflatten(graphdef, leaves)
    assert snapshot(new) == snapshot(model)
    assert new.tied is new.w
    assert (new.w is model.w) == (form is not list)


def test_variables_are_kept_when_asked():
    model = make()
    new = nnx.unflatten(*nnx.flatten(model), recreate_variables=False)
    assert new.w is model.w


def test_an_array_alone_is_a_leaf():
    x = jnp.ones(2)
    for with_paths in (True, False):
        assert nnx.unflatten(*nnx.flatten(x, with_paths=with_paths)) is x


def test_a_list_of_another_length_is_refused():
    graphdef, values = nnx.flatten(make(), with_paths=False)
    with pytest.raises(StructureError, match=r"expected 4 leaves, got 3") as caught:
        nnx.unflatten(graphdef, values[1:])
    assert "nnx.flatten(model, with_paths=False)" in str(caught.value)


def test_call_leaves_the_given_state_and_returns_the_next():
    model = make()
    step = jax.jit(lambda apart, x: nnx.call(apart)(x))
    before = nnx.split(model)
    y, after = step(before, jnp.ones(3))
    np.testing.assert_array_equal(y, model.w.value)
    assert int(model.counters.a.count.value) == 0
    assert int(nnx.merge(*after).counters.a.count.value) == 1


def test_call_reaches_methods_by_attribute_and_item():
    result, after = nnx.call(nnx.split(make())).counters["b"].add(2, twice=True)
    counters = nnx.merge(*after).counters
    assert (int(result), int(counters.a.count.value)) == (4, 0)


def test_call_takes_what_split_returns():
    with pytest.raises(ArgumentError, match=r"merge takes a GraphDef first, got State"):
        nnx.call((nnx.state(make()),))(jnp.ones(3))


PROGRAMS = {
    "flatten": lambda lib: lib.flatten(make(lib))[1],
    "values": lambda lib: lib.flatten(make(lib), with_paths=False)[1],
    "a-variable": lambda lib: lib.flatten(make(lib).w)[1],
    "a-tree": lambda lib: lib.flatten({"b": make(lib), "a": jnp.ones(2)})[1],
    "unflatten": lambda lib: lib.state(lib.unflatten(*lib.flatten(make(lib)))),
    "unflatten-values": lambda lib: lib.state(
        lib.unflatten(*lib.flatten(make(lib), with_paths=False))
    ),
    "too-few": lambda lib: lib.unflatten(lib.flatten(make(lib))[0], [1.0]),
    "call": lambda lib: lib.call(lib.split(make(lib)))(jnp.ones(3))[0],
    "call-twice": lambda lib: (
        lib.merge(
            *lib.call(lib.call(lib.split(make(lib))).counters["b"].add(1)[1])(
                jnp.ones(3)
            )[1]
        ).counters
    ),
    "call-unknown": lambda lib: lib.call(lib.split(make(lib))).missing(),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_in_flax(name):
    peer = pytest.importorskip("tests.peer")
    peer.assert_same(PROGRAMS[name])
