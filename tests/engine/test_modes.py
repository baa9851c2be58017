"""The flags by which flax.nnx chooses a mode are taken, and change nothing."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx

MODES: dict[str, Any] = {"graph": False, "graph_updates": False}
ONE = jnp.ones(1)
CALLS: dict[str, Any] = {
    "jit": lambda **m: nnx.jit(lambda x: x, **m)(ONE),
    "grad": lambda **m: nnx.grad(lambda x: x.sum(), **m)(ONE),
    "value_and_grad": lambda **m: nnx.value_and_grad(**m)(lambda x: x.sum())(ONE)[1],
    "vjp": lambda **m: nnx.vjp(lambda x: x, ONE, **m)[0],
    "jvp": lambda **m: nnx.jvp(lambda x: x, (ONE,), (ONE,), **m)[0],
    "vmap": lambda **m: nnx.vmap(**m)(lambda x: x)(ONE),
    "pmap": lambda **m: nnx.pmap(lambda x: x, **m)(ONE),
    "scan": lambda **m: nnx.scan(lambda c, x: (c, x), **m)(0.0, ONE)[1],
    "remat": lambda **m: nnx.remat(lambda x: x, **m)(ONE),
    "cond": lambda **m: nnx.cond(True, lambda x: x, lambda x: -x, ONE, **m),
    "switch": lambda **m: nnx.switch(0, [lambda x: x], ONE, **m),
    "while_loop": lambda **m: nnx.while_loop(
        lambda x: x[0] < 1, lambda x: x + 1, ONE, **m
    ),
    "fori_loop": lambda **m: nnx.fori_loop(0, 1, lambda i, x: x, ONE, **m),
    "jit_partial": lambda **m: nnx.jit_partial(lambda x: x, ONE, **m)(),
}


@pytest.mark.parametrize("name", CALLS)
def test_flags_of_modes_change_nothing(name):
    assert CALLS[name](**MODES).tolist() == CALLS[name]().tolist() == [1.0]
