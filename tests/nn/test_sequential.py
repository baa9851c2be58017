"""Sequential: keyword arguments of the call, outputs as arguments, iteration."""

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError


def add(x, *, by=1):
    return x + by


def scale(x, factor=2, /, by=1):
    return x * factor * by


def named(x, by=1):
    return {"x": x, "by": by}


CALLS = {
    "nobody takes it": ((jnp.abs, abs), {"by": 3}, 2),
    "the second": ((jnp.abs, add), {"by": 3}, 5),
    "both": ((add, scale), {"by": 3}, 30),
    "a name by place alone": ((scale, add), {"factor": 5}, 5),
    "given by place": ((lambda x: (x, 4), lambda x, by: x * by), {"by": 9}, 8),
    "any name": ((abs, lambda x, **more: x + sum(more.values())), {"a": 1, "b": 2}, 5),
    "of a dict": ((named, add), {}, 3),
}


@pytest.mark.parametrize(("fns", "kwargs", "expected"), CALLS.values(), ids=CALLS)
def test_keywords_reach_who_takes_them(fns, kwargs, expected):
    assert int(nnx.Sequential(*fns)(2, **kwargs)) == expected


def test_an_argument_that_comes_twice_is_refused():
    with pytest.raises(
        ArgumentError, match=r"Layer 1 .* add, got by twice(.|\n)*leave"
    ):
        nnx.Sequential(named, add)(2, by=3)


def test_iterating_gives_the_layers():
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    assert list(nnx.Sequential(layer, nnx.relu)) == [layer, nnx.relu]


def test_the_mode_reaches_every_dropout():
    model = nnx.Sequential(nnx.Dropout(0.5), nnx.relu, nnx.Dropout(0.5))
    assert model(jnp.ones(4), deterministic=True).tolist() == [1, 1, 1, 1]
    assert 0 in model(jnp.ones(64), deterministic=False, rngs=nnx.Rngs(0))
