"""Bare arrays, items and numbers, written in transforms inside transforms."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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


def carried(f: Any, loop: Any) -> Any:
    def run(m: Any) -> Any:
        return loop(lambda carry: (carry[0], f(carry[0])), (m, jnp.zeros(())))[1]

    return run


def once_by_while(g: Any, carry: Any) -> Any:
    def body(carry: Any) -> Any:
        return carry[0] + 1, g(carry[1])

    return nnx.while_loop(lambda c: c[0] < 1, body, (jnp.zeros(()), carry))[1]


def custom(f: Any) -> Any:
    function = nnx.custom_vjp(f)
    function.defvjp(lambda m: (f(m), None), lambda residuals, g: (None,))
    return function


NESTING: dict[str, Any] = {
    "jit": lambda f: nnx.jit(f),
    "grad": lambda f: lambda m: nnx.value_and_grad(f)(m)[0],
    "remat": lambda f: nnx.remat(f),
    "cond": lambda f: lambda m: nnx.cond(True, f, lambda m: m.w.value.sum(), m),
    "vmap": lambda f: nnx.vmap(f, in_axes=None, out_axes=None, axis_size=2),
    "scan": lambda f: carried(
        f,
        lambda g, c: nnx.scan(g, in_axes=nnx.Carry, out_axes=nnx.Carry, length=1)(c),
    ),
    "fori_loop": lambda f: carried(
        f, lambda g, c: nnx.fori_loop(0, 1, lambda i, c: g(c), c)
    ),
    "while_loop": lambda f: carried(f, lambda g, c: once_by_while(g, c)),
    "custom_vjp": lambda f: custom(f),
}
PAIRS = [
    pair
    for pair in itertools.product(NESTING, NESTING)
    if pair != ("while_loop", "grad")  # it has no gradient
]
TRIPLES = [
    ("custom_vjp", "scan", "jit"),
    ("cond", "vmap", "remat"),
    ("remat", "while_loop", "jit"),
    ("fori_loop", "grad", "cond"),
    ("jit", "custom_vjp", "grad"),
    ("while_loop", "scan", "vmap"),
]


@pytest.mark.parametrize("names", [*PAIRS, *TRIPLES], ids="-".join)
@pytest.mark.parametrize("write", [write_all, write_by_update])
def test_write_inside_several_transforms_arrives(names, write):
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


class OfTrees(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(2))
        self.tree: Any = nnx.Variable({"a": jnp.ones(2), "b": [jnp.ones(3)]})

    def double(self) -> None:
        self.tree.value = {**self.tree.value, "a": self.tree.value["a"] * 2}

    def grow(self) -> None:
        self.tree.value = {**self.tree.value, "c": self.w.value}

    def note(self) -> None:
        self.sow(nnx.Intermediate, "seen", self.w.value)


@pytest.mark.parametrize("edit", ["double", "grow", "note"])
@pytest.mark.parametrize("transform", [nnx.jit, nnx.grad, nnx.remat])
@pytest.mark.parametrize("outer", [nnx.jit, nnx.remat, lambda f: f])
def test_a_variable_of_a_pytree_is_written_as_in_plain_python(outer, transform, edit):
    model, plain = OfTrees(), OfTrees()

    def body(m: Any) -> Any:
        getattr(m, edit)()
        return m.w.value.sum()

    step = outer(lambda m: jax.tree.leaves(transform(body)(m))[0])
    for _ in range(2):
        step(model)
        getattr(plain, edit)()
    ours, expected = nnx.state(model), nnx.state(plain)
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, ours, expected)
