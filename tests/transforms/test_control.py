"""cond, switch, while_loop and fori_loop against plain Python."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.models import JITS


class Model(nnx.Module):
    def __init__(self):
        self.calls = nnx.Variable(jnp.array(0))
        self.total = nnx.Variable(jnp.array(0.0))
        self.rngs = nnx.Rngs(0)


def count(model, x):
    model.calls.value = model.calls.value + 1
    return x * 2


def add(model, x):
    model.total.value = model.total.value + x
    model.rngs.dropout()
    return x


def numbers(model):
    draws = int(model.rngs.default.count.value)
    return int(model.calls.value), float(model.total.value), draws


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("pred", [True, False])
def test_cond_runs_the_chosen_branch_alone(jit, pred):
    model, plain = Model(), Model()
    x = jnp.array(3.0)
    got = jit(lambda m, p, x: nnx.cond(p, count, add, m, x))(model, pred, x)
    assert float(got) == float((count if pred else add)(plain, x))
    assert numbers(model) == numbers(plain)


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("index", [0, 1, 2, 7])
def test_switch_runs_the_chosen_branch_alone(jit, index):
    branches = [count, add, lambda m, x: x]
    model, plain = Model(), Model()
    x = jnp.array(3.0)
    got = jit(lambda m, i, x: nnx.switch(i, branches, m, x))(model, index, x)
    assert float(got) == float(branches[min(index, 2)](plain, x))
    assert numbers(model) == numbers(plain)


def test_branches_are_traced_once_per_call():
    seen = []
    nnx.cond(True, lambda: seen.append(1) or 0, lambda: seen.append(2) or 0)
    assert sorted(seen) == [1, 2]


@pytest.mark.parametrize("jit", JITS)
def test_while_loop_updates_objects_in_place(jit):
    def run(model):
        def body(carry):
            i, model = carry
            count(model, 0.0)
            add(model, jnp.float32(0.5))
            return i + 1, model

        return nnx.while_loop(lambda carry: carry[0] < 5, body, (0, model))

    model = Model()
    i, same = jit(run)(model)
    assert same is model
    assert (int(i), *numbers(model)) == (5, 5, 2.5, 5)


@pytest.mark.parametrize("jit", JITS)
def test_fori_loop_updates_objects_in_place(jit):
    def run(model):
        def body(i, model):
            add(model, i.astype(jnp.float32))
            return model

        return nnx.fori_loop(0, 4, body, model)

    model = Model()
    assert jit(run)(model) is model
    assert numbers(model) == (0, 6.0, 4)


def test_gradients_flow_through_cond_and_fori_loop():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    def loss(model):
        x = nnx.cond(
            True, lambda m: m(jnp.ones((1, 2))), lambda m: jnp.zeros((1, 2)), model
        )
        return x.sum()

    got = nnx.grad(loss)(model)
    expected = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), got, expected))


def grow(model, x):
    model.extra = nnx.Variable(jnp.ones(2))
    return x


def reshape(model):
    model.total.value = jnp.ones(2)


MISTAKES = {
    "cond-structure": (
        lambda m: nnx.cond(True, count, grow, m, 1.0),
        ["branches 0 and 1", "different structures", "in every branch"],
    ),
    "cond-result": (
        lambda m: nnx.cond(True, lambda: 1, lambda: (1, 2)),
        ["return different structures", "same pytree"],
    ),
    "cond-shape": (
        lambda m: nnx.cond(True, reshape, lambda m: None, m),
        ["args[0].total", "float32[2]", "float32[]"],
    ),
    "while-condition-writes": (
        lambda m: nnx.while_loop(lambda m: count(m, 1.0) < 0, lambda m: m, m),
        ["cond_fun writes", "args[0].calls", "body_fun"],
    ),
    "fori-other-carry": (
        lambda m: nnx.fori_loop(0, 2, lambda i, m: nnx.Dict(), m),
        ["objects of another structure", "or its like"],
    ),
    "fori-exchanged": (
        lambda m: nnx.fori_loop(0, 2, lambda i, c: (c[1], c[0]), (m, Model())),
        ["in other places: a Model", "exchange their values"],
    ),
    "fori-written-and-replaced": (
        lambda m: nnx.fori_loop(0, 2, lambda i, m: [count(m, 1.0), Model()][1], m),
        ["writes to a Variable of the carry", "return the object that it writes to"],
    ),
    "fori-shape": (
        lambda m: nnx.fori_loop(0, 2, lambda i, m: reshape(m) or m, m),
        ["args[0].total", "float32[]", "float32[2]"],
    ),
    "fori-structure": (
        lambda m: nnx.fori_loop(0, 2, lambda i, m: grow(m, 1) and m, m),
        ["structure", "before the loop"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_and_change_nothing(name):
    call, parts = MISTAKES[name]
    model = Model()
    with pytest.raises((TypeError, ValueError)) as caught:
        call(model)
    for part in parts:
        assert part in str(caught.value)
    assert numbers(model) == (0, 0.0, 0)
    assert not hasattr(model, "extra")


@pytest.mark.parametrize("jit", JITS)
def test_a_variable_that_holds_a_pytree_is_written_by_one_branch(jit):
    pair = nnx.Variable({"a": jnp.zeros(2), "b": jnp.ones(3)})
    count = nnx.Variable(jnp.zeros(()))

    def both(pair, count):
        pair.value = {"a": pair.value["a"] + 1.0, "b": pair.value["b"] * 2.0}
        count.value = count.value + 1.0

    def one(pair, count):
        count.value = count.value + 5.0

    step = jit(lambda pred, *state: nnx.cond(pred, both, one, *state))
    step(True, pair, count)
    step(False, pair, count)
    assert [x.tolist() for x in pair.value.values()] == [[1.0] * 2, [2.0] * 3]
    assert float(count.value) == 6.0
