"""Carries: objects that come back, others of their structure, bare arrays, numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, FilterError
from tests.models import JITS


class Env(nnx.Pytree):
    """State without a Variable: an array, one in a tuple, one in a list, a number."""

    def __init__(self) -> None:
        self.v = nnx.data(jnp.ones(2))
        self.pair = (jnp.ones(2), [jnp.ones(2)])
        self.number = nnx.data(1.0)


def double(env: Any) -> Any:
    env.v = env.v * 2
    env.pair = (env.pair[0] * 2, env.pair[1])
    env.pair[1][0] = env.pair[1][0] * 2
    env.number = env.number * 2
    return env


def new_double(value: Any) -> Any:
    return jax.tree.map(lambda x: x * 2, value)


def content(env: Any) -> list[float]:
    held = env.v[0], env.pair[0][0], env.pair[1][0][0], env.number
    return [float(x) for x in held]


def by_while(f: Any, value: Any) -> Any:
    def body(carry: Any) -> Any:
        return carry[0] + 1, f(carry[1])

    return nnx.while_loop(lambda c: c[0] < 1, body, (0, value))[1]


def by_scan(f: Any, value: Any) -> Any:
    def body(carry: Any, x: Any) -> Any:
        return {"own": f(carry["own"]), "a": carry["a"] + x}, x

    return nnx.scan(body)({"own": value, "a": 0.0}, jnp.ones(1))[0]["own"]


LOOPS: dict[str, Any] = {
    "scan": by_scan,
    "scan_whole": lambda f, value: nnx.scan(
        f, in_axes=nnx.Carry, out_axes=nnx.Carry, length=1
    )(value),
    "while_loop": by_while,
    "fori_loop": lambda f, value: nnx.fori_loop(0, 1, lambda i, v: f(v), value),
    "cond": lambda f, value: nnx.cond(True, f, lambda v: v, value),
    "switch": lambda f, value: nnx.switch(1, [lambda v: v, f, lambda v: v], value),
}


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", LOOPS)
def test_bare_arrays_of_a_carry_are_written(name, wrap):
    env = Env()
    assert wrap(lambda env: LOOPS[name](double, env))(env) is env
    assert content(env) == [2.0] * 4


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", LOOPS)
def test_a_state_that_the_body_makes_anew_is_handed_on(name, wrap):
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    ones = jax.tree.map(jnp.ones_like, nnx.state(model))
    new = wrap(lambda state: LOOPS[name](new_double, state))(ones)
    assert float(new.bias.value[0]) == 2.0
    assert float(ones.bias.value[0]) == 1.0


@pytest.mark.parametrize("name", ["scan", "while_loop", "fori_loop"])
def test_an_object_of_the_same_structure_takes_its_place(name):
    env = Env()
    last = LOOPS[name](new_double, env)
    assert type(last) is Env
    assert content(last) == [2.0] * 4
    assert content(env) == [1.0] * 4


@pytest.mark.parametrize("name", ["scan", "while_loop", "fori_loop"])
def test_a_variable_set_anew_in_a_carried_state_is_handed_on(name):
    def body(state):
        state["w"] = nnx.Param(state["w"] + 1)
        return state

    state = nnx.State({"w": nnx.Param(jnp.ones(()))})
    assert LOOPS[name](body, state) is state
    assert float(state["w"].value) == 2.0


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("pred", [True, False])
def test_branches_may_return_the_state_that_came_in_or_another(pred, wrap):
    state = nnx.State({"w": nnx.Param(jnp.ones(()))})
    call = wrap(lambda p, s: nnx.cond(p, new_double, lambda s: s, s))
    assert float(call(pred, state)["w"].value) == 1.0 + pred
    assert nnx.cond(pred, lambda s: (1, s), lambda s: (2, s), state)[1] is state


@pytest.mark.parametrize("name", ["scan", "scan_whole", "while_loop", "fori_loop"])
def test_weakly_typed_numbers_take_the_type_of_the_first_step(name):
    with jax.numpy_dtype_promotion("standard"):
        assert LOOPS[name](lambda x: x * 2.0, 1).dtype == jnp.float32


def test_gradients_are_summed_in_a_carried_state():
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))

    @nnx.scan(in_axes=(nnx.Carry, None, 0), out_axes=nnx.Carry)
    def total(sums, model, x):
        return jax.tree.map(jnp.add, sums, nnx.grad(lambda m: m(x).sum())(model))

    sums = total(zeros, model, jnp.ones((4, 3, 2)))
    assert sums.bias.value.tolist() == [12.0]


def test_bare_arrays_of_a_scan_have_the_axes_of_their_objects():
    env = Env()
    del env.number

    def step(carry, env):
        env.v = env.v + carry
        return carry + 1, env.pair[0]

    last, seen = nnx.scan(step, in_axes=(nnx.Carry, 0))(0.0, env)
    assert env.v.tolist() == [1.0, 2.0]
    assert (float(last), seen.tolist()) == (2.0, [1.0, 1.0])


def test_vmap_writes_bare_arrays_with_their_axes():
    env = Env()
    axes = nnx.StateAxes({nnx.PathContains("v"): 0, ...: None})

    def write(env, x):
        env.v = env.v + x

    nnx.vmap(write, in_axes=(axes, 0))(env, jnp.arange(2.0))
    assert env.v.tolist() == [1.0, 2.0]
    assert env.number == 1.0


def test_result_may_not_have_another_axis_than_the_argument():
    v = nnx.Param(jnp.ones((2, 2)))
    for call in (
        lambda: nnx.vmap(lambda v: v, out_axes=1)(v),
        lambda: nnx.scan(lambda c, v: (c, v), out_axes=(nnx.Carry, 1))(0, v),
    ):
        with pytest.raises(ArgumentValueError, match=r"(?s)axes 1 and 0.*same axis"):
            call()


def test_scan_of_a_carry_alone_takes_one_argument():
    loop = nnx.scan(lambda a, b: a, in_axes=nnx.Carry, out_axes=nnx.Carry, length=1)
    with pytest.raises(ArgumentValueError, match=r"takes 2 arguments(.|\n)*one axis"):
        loop(1, 2)


def test_a_stream_that_all_steps_share_gives_each_the_same_key():
    rngs = nnx.Rngs(0)
    draw = nnx.scan(lambda r, c: (c, r.normal(())), in_axes=(None, nnx.Carry), length=3)
    first, second = draw(rngs, 0.0)[1], draw(rngs, 0.0)[1]
    assert len({*first.tolist()}) == len({*second.tolist()}) == 1
    assert first[0] != second[0]


def test_axes_of_a_state_are_those_of_its_paths():
    axes = nnx.StateAxes(nnx.State({"a": 0, "b": {"c": None}}))
    assert axes.map_prefix(("a",), None) == 0
    assert axes.map_prefix(("b", "c"), None) is None
    with pytest.raises(FilterError, match=r"no filter for d(.|\n)*`...: None`"):
        axes.map_prefix(("d",), None)
