"""Bare arrays, items and numbers, written in transforms inside transforms."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx


class Holder(nnx.Module):
    """State of every kind beside a parameter, none of it in a Variable."""

    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(3))
        self.seen = jnp.ones(3)
        self.buffers = [jnp.ones(3)]
        self.table = {"a": jnp.ones(3)}
        self.number = nnx.data(1.0)


def write_all(m: Any) -> Any:
    m.seen = m.seen * 2
    m.buffers[0] = m.buffers[0] * 2
    m.table["a"] = m.table["a"] * 2
    m.number = m.number * 2
    return m.w.value.sum()


def write_by_update(m: Any) -> Any:
    nnx.update(m, jax.tree.map(lambda a: a * 2, nnx.state(m)))
    return m.w.value.sum()


def values(m: Any) -> list[float]:
    held = m.seen[0], m.buffers[0][0], m.table["a"][0], m.number
    return [float(x) for x in held]


NESTING: dict[str, Any] = {
    "jit": lambda f: nnx.jit(f),
    "grad": lambda f: lambda m: nnx.value_and_grad(f)(m)[0],
    "remat": lambda f: nnx.remat(f),
    "cond": lambda f: lambda m: nnx.cond(True, f, f, m),
}


@pytest.mark.parametrize(
    "names", list(itertools.product(NESTING, NESTING)), ids="-".join
)
@pytest.mark.parametrize("write", [write_all, write_by_update])
def test_write_inside_two_transforms_arrives(names, write):
    step = write
    for name in names:
        step = NESTING[name](step)
    model = Holder()
    step(model)
    step(model)
    assert values(model) == [4.0] * 4


@pytest.mark.parametrize("transform", [nnx.jit, nnx.grad, nnx.remat, jax.jit])
def test_captured_state_is_no_part_of_what_an_inner_step_writes(transform):
    teacher = nnx.Dict(w=nnx.Param(jnp.ones(3)))

    def loss(m):
        @nnx.jit
        def inner(m):
            m.mode = "seen"
            return (m.w.value * teacher.w.value).sum()

        return inner(m)

    model = Holder()
    with nnx.guard(stale="off", lost="off"):
        transform(loss)(model)
    assert getattr(model, "mode", None) == (None if transform is jax.jit else "seen")
