"""What a jitted function keeps alive of its arguments: nothing."""

from __future__ import annotations

import gc
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.models import Pair

ARGUMENTS = {
    "a Variable": lambda v: v,
    "a Variable in a dict": lambda v: {"v": v},
    "a State": lambda v: nnx.State({"v": v}),
    "a Module": lambda v: nnx.Dict(v=v),
}


def first_value(arg: Any) -> Any:
    return jax.tree.leaves(arg)[0]


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("kind", ARGUMENTS)
def test_dropped_variables_are_freed(kind, writes):
    kept = Pair()

    @nnx.jit
    def step(arg, model):
        if writes:
            model.a.value = model.a.value + 1
        return first_value(arg).sum()

    def run(count: int) -> None:
        for i in range(count):
            step(ARGUMENTS[kind](nnx.Variable(jnp.full(7, float(i)))), kept)

    run(2)
    gc.collect()
    before = len(jax.live_arrays())
    run(20)
    gc.collect()
    assert len(jax.live_arrays()) - before <= 1


def test_a_variable_alone_is_written_again_and_again():
    count = nnx.Variable(jnp.array(0))

    @nnx.jit
    def step(variable):
        variable.value = variable.value + 1
        return variable.value

    assert [int(step(count)) for _ in range(3)] == [1, 2, 3]
    assert int(count.value) == 3
