"""New shapes in a compiled call: traced once, as quick as the first from then on."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from tests.models import Pair, Wide, count_events


def python_calls_of_jax(function: Any, *args: Any) -> int:
    """How many functions of JAX's run in Python during a call."""

    def counts(frame: Any, event: str) -> bool:
        return event == "call" and "jax" in frame.f_globals.get("__name__", "")

    return count_events(counts, function, *args)


def write(model, x):
    for weight in model.weights:
        weight.value = weight.value + x.sum()


def read(model, x):
    return model.weights[0].value + x.sum()


def write_and_return(model, x):
    write(model, x)
    return x * 2, x.sum()


@pytest.mark.parametrize("body", [write, read, write_and_return])
def test_every_shape_takes_the_quick_way_of_jax(body):
    step, model = nnx.jit(body), Wide(3)
    shapes = [jnp.ones(n) for n in (1, 2, 3, 4)]
    for x in shapes:
        step(model, x)
    assert [python_calls_of_jax(step, model, x) for x in shapes] == [0] * 4
    assert step._cache_size() == 4


def test_another_model_of_the_structure_is_not_traced_lowered_or_compiled():
    step = nnx.jit(write)
    step(Wide(3), jnp.ones(2))
    assert python_calls_of_jax(step, Wide(3), jnp.ones(2)) < 60
    assert step._cache_size() == 1


def test_what_a_later_shape_cannot_reuse_comes_back_without_a_warning():
    @nnx.jit
    def grow(model, x):
        model.a.value = x + 1
        return model.b.value, x

    model, held = Pair(), jnp.ones(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (jnp.ones(3), held, jnp.ones(3), held):
            before = model.b.value
            b, same = grow(model, x)
            assert model.a.value.tolist() == [2.0] * len(x)
            assert b.tolist() == before.tolist()
            assert same.shape == x.shape
    assert grow._cache_size() <= 4  # of x, and of what was there


def test_state_that_only_a_later_shape_captures_is_fresh():
    other = Pair()

    @nnx.jit
    def step(model, x):
        return model.a.value.sum() + (other.a.value.sum() if len(x) > 1 else 0)

    model = Pair()
    model.a.value = jnp.zeros(3)
    step(model, jnp.ones(1))
    for value in (1.0, 2.0, 3.0):
        other.a.value = jnp.full(3, value)
        assert float(step(model, jnp.ones(2))) == 3 * value
        assert float(step(model, jnp.ones(1))) == 0


def test_a_write_to_captured_state_in_a_later_shape_is_blocked():
    other = Pair()

    @nnx.jit
    def step(model, x):
        if len(x) > 1:
            other.a.value = x[:1]
        model.a.value = model.a.value + x.sum()

    model = Pair()
    step(model, jnp.ones(1))
    before = model.a.value.tolist()
    with pytest.raises(nnx.TraceContextError, match="other"):
        step(model, jnp.ones(2))
    assert model.a.value.tolist() == before
    step(model, jnp.ones(1))
    assert model.a.value.tolist() == [v + 1 for v in before]


def test_a_callback_that_only_a_later_shape_has_ends_donation():
    def fail(x):
        raise ValueError("no such row")

    @nnx.jit
    def step(model, x):
        if len(x) > 1:
            jax.debug.callback(lambda x: fail(x) if len(x) > 2 else None, x)
        model.a.value = model.a.value + x.sum()

    model = Pair()
    step(model, jnp.ones(1))
    step(model, jnp.ones(2))
    before = model.a.value
    assert step.jit.known_plan((model, jnp.ones(2)), {})[0].entry.donation is None
    with pytest.raises(Exception, match="no such row"):
        step(model, jnp.ones(3))
    assert model.a.value.tolist() == before.tolist()


def test_explain_knows_a_trace_in_the_midst_of_a_call():
    step, model = nnx.jit(write), Wide(1)
    step(model, jnp.ones(1))
    step(model, jnp.ones(2))
    assert "float32[2], was float32[1]" in step.explain()


def test_a_callback_whose_error_speaks_of_deleted_runs_once():
    seen = []

    def send(x):
        seen.append(1)
        raise RuntimeError("Array has been deleted from the table")

    @nnx.jit
    def step(model):
        jax.experimental.io_callback(send, None, model.a.value)
        model.a.value = model.a.value * 2

    model = Pair()
    with pytest.raises(Exception, match="from the table"):
        step(model)
    assert (seen, model.a.value.tolist()) == ([1], [1.0] * 3)
