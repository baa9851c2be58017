"""view, view_info and traversals: as in flax, and errors that say what there is."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, FilterError
from tests.models import snapshot


def make(lib: Any = nnx) -> Any:
    class Block(lib.Module):
        def __init__(self):
            self.dropout = lib.Dropout(0.5, rngs=lib.Rngs(0))
            self.norm = lib.BatchNorm(3, rngs=lib.Rngs(0))
            self.last = lib.Dropout(0.5, rngs=lib.Rngs(1))

        def __call__(self, x):
            return self.last(self.norm(self.dropout(x)))

    return Block()


def modes(model: Any) -> tuple:
    return (
        model.dropout.deterministic,
        model.norm.use_running_average,
        model.last.deterministic,
    )


VIEWS = {
    "one": lambda lib, m: modes(lib.view(m, deterministic=True)),
    "two": lambda lib, m: modes(
        lib.view(m, deterministic=True, use_running_average=True)
    ),
    "none": lambda lib, m: modes(lib.view(m)),
    "only-type": lambda lib, m: modes(
        lib.view(m, only=lib.Dropout, deterministic=True)
    ),
    "only-path": lambda lib, m: modes(
        lib.view(m, only=lib.PathContains("last"), deterministic=True)
    ),
    "unknown": lambda lib, m: modes(lib.view(m, training=False)),
    "unknown-allowed": lambda lib, m: modes(
        lib.view(m, raise_if_not_found=False, training=False)
    ),
    "not-selected": lambda lib, m: modes(
        lib.view(m, only=lib.Dropout, use_running_average=True)
    ),
}


def outcome(call: Any, lib: Any) -> Any:
    try:
        return call(lib, make(lib))
    except ValueError:
        return ValueError


@pytest.mark.peer
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_modes_that_flax_gives(name):
    flax = pytest.importorskip("flax.nnx")
    assert outcome(VIEWS[name], nnx) == outcome(VIEWS[name], flax)


def test_a_view_shares_the_variables_and_leaves_the_original():
    model = make()
    before = snapshot(model)
    view = nnx.view(model, deterministic=True, use_running_average=True)
    assert snapshot(model) == before
    assert view.norm.scale is model.norm.scale
    model.norm.mean.value = jnp.ones(3)
    assert view.norm.mean.value.tolist() == [1.0] * 3
    assert view.dropout.rngs.count is model.dropout.rngs.count


def test_a_view_computes_in_its_mode():
    model = make()
    x = jnp.ones((2, 3))
    view = nnx.view(model, deterministic=True, use_running_average=True)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(view, x), x, rtol=1e-4)
    assert int(model.dropout.rngs.count.value) == 0


def test_a_step_on_a_view_updates_the_original():
    model = make()
    view = nnx.view(model, deterministic=True)
    nnx.jit(lambda m, x: m(x))(view, jnp.full((2, 3), 2.0))
    assert float(model.norm.mean.value[0]) > 0.0


def test_unknown_modes_are_listed():
    with pytest.raises(FilterError, match=r"(?s)\['rate', 'training'\].*view_info"):
        nnx.view(make(), rate=0.1, training=True)


def test_view_info_lists_classes_and_modes():
    text = nnx.view_info(make())
    lines = text.splitlines()
    assert [line for line in lines if line[0] != " "] == ["BatchNorm:", "Dropout:"]
    assert "  deterministic: bool | None = None" in lines
    assert lines[-1].startswith("    whether nothing is dropped")
    assert "Dropout" not in nnx.view_info(make(), only=nnx.BatchNorm)


def test_a_class_with_its_own_modes_takes_part():
    class Head(nnx.Module):
        def __init__(self):
            self.temperature = 1.0

        def set_view(self, temperature=None, **kwargs):
            self.temperature = temperature or self.temperature

    head = Head()
    assert nnx.view(head, temperature=2.0, other=1).temperature == 2.0
    assert head.temperature == 1.0
    text = nnx.view_info(head)
    assert text.endswith("Head:\n  set_view(self, temperature=None, **kwargs)")


def test_what_a_docstring_says_of_a_mode_is_shown_with_it():
    class Head(nnx.Module):
        def set_view(self, low: float = 0.0, high: float = 1.0, *, free=None):
            """Sets the bounds.

            Args:
                low, high: the bounds,
                    both inclusive.

            Returns:
                nothing: at all
            """

    assert nnx.view_info(Head()).splitlines()[1:] == [
        "  low: float = 0.0",
        "    the bounds,",
        "    both inclusive.",
        "  high: float = 1.0",
        "    the bounds,",
        "    both inclusive.",
        "  free = None",
    ]


# -- traversals

NESTED = {"a": 1, "b": {"c": 2, "d": {}, "e": {"f": None}}, "g": {}}
STOPS = [None, lambda path, xs: len(path) == 1, lambda path, xs: "f" in xs]


@pytest.mark.peer
@pytest.mark.parametrize("sep", [None, "/"], ids=["tuples", "text"])
@pytest.mark.parametrize("keep", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("stop", STOPS, ids=["all", "first", "inner"])
def test_traversals_are_those_of_flax_and_turn_back(sep, keep, stop):
    flax = pytest.importorskip("flax.nnx")
    options = {"sep": sep, "keep_empty_nodes": keep, "is_leaf": stop}

    def both(lib):
        flat = lib.traversals.flatten_mapping(NESTED, **options)
        empty = lib.traversals.empty_node
        back = lib.traversals.unflatten_mapping(flat, sep=sep)
        return {k: "empty" if v is empty else v for k, v in flat.items()}, back

    assert both(nnx) == both(flax)
    assert (both(nnx)[1] == NESTED) == (keep or stop is STOPS[1])


@pytest.mark.peer
@pytest.mark.parametrize("xs", [NESTED, {}, {"a": {}}], ids=["nested", "empty", "one"])
def test_sequences_are_those_of_flax(xs):
    flax = pytest.importorskip("flax.nnx")
    pairs = nnx.traversals.flatten_to_sequence(xs)
    assert pairs == flax.traversals.flatten_to_sequence(xs)
    unflatten = nnx.traversals.unflatten_mapping
    assert unflatten(pairs) == flax.traversals.unflatten_mapping(pairs)


MISTAKES = {
    "number": lambda: nnx.traversals.flatten_mapping(1),  # type: ignore[arg-type]
    "list": lambda: nnx.traversals.flatten_to_sequence([1]),  # type: ignore[arg-type]
    "flat": lambda: nnx.traversals.unflatten_mapping(1),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_no_mapping_is_named(name):
    with pytest.raises(ArgumentError, match=r"(?s)Expected a mapping.*Instead: pass"):
        MISTAKES[name]()
