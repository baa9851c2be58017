"""An iterator that a jitted function draws from as it is traced is told of."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import LostUpdateWarning


def endless():
    number = 0.0
    while True:
        number += 1.0
        yield number


ITERATORS: dict[str, Any] = {
    "list_iterator": lambda: iter([1.0, 2.0]),
    "count": itertools.count,
    "generator": endless,
    "range_iterator": lambda: iter(range(3)),
    "dict_keyiterator": lambda: iter({1.0: 2}),
}


@pytest.mark.parametrize("kind", ITERATORS)
def test_what_is_drawn_in_a_trace_is_told_with_the_remedy(kind):
    iterator = ITERATORS[kind]()

    def step(x):
        return x * next(iterator)

    told = rf"step draws from a {kind}[\s\S]*Instead: draw outside.*step\(\.\.\., next"
    with pytest.warns(LostUpdateWarning, match=told) as caught:
        nnx.jit(step)(jnp.ones(2))
    assert caught[0].filename == __file__
    with warnings.catch_warnings(), nnx.guard(lost="off"):
        warnings.simplefilter("error")
        nnx.jit(step)(jnp.ones(2)) if kind != "dict_keyiterator" else None


@pytest.mark.parametrize("kind", ITERATORS)
def test_an_iterator_that_is_not_drawn_from_is_not_told(kind):
    iterator = ITERATORS[kind]()
    next(iterator)

    def step(x):
        return x if x is not None else next(iterator)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nnx.jit(step)(jnp.ones(2))
