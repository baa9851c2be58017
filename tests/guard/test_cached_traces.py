"""What is cached of a trace never outlives what it was made for.

Other libraries with state had these faults: a trace used on after a state had changed
its shape; states made in a trace that kept its tracers; cached traces that kept those
of an outer trace. Each is tried here in oakum's transforms, with its neighbours.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import LostUpdateWarning, TraceContextError
from tests.models import Pair, holds_tracer


def total(m: Any, x: Any) -> Any:
    m.a.value = m.a.value * x.astype(m.a.value.dtype)
    return weight(m)


def weight(m: Any) -> Any:
    return m.a.value.sum().astype(jnp.float32)


BOUND: dict[str, Any] = {}
captured = nnx.jit(lambda x: weight(BOUND["m"]) * x)


def scanned(m: Any, x: Any) -> Any:
    axes = {"in_axes": (nnx.Carry, 0), "out_axes": (nnx.Carry, 0)}
    return nnx.scan(lambda m, x: (m, total(m, x)), **axes)(m, x[None])[1][0]


# Each runs `total` once, so that a changed state is met by a transform's own cache.
STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "jit": nnx.jit(total),
    "jit_of_jit": nnx.jit(nnx.jit(total)),
    "remat": nnx.remat(total),
    "value_and_grad": lambda m, x: nnx.value_and_grad(total, argnums=1)(m, x)[0],
    "scan": scanned,
    "cond": nnx.jit(lambda m, x: nnx.cond(x > 0, total, lambda m, x: x, m, x)),
    "captured": lambda m, x: BOUND.update(m=m) or captured(x),
}
CHANGES: dict[str, Callable[[Any], Any]] = {
    "shape": lambda m: m.a.set_value(jnp.ones(5)),
    "rank": lambda m: m.a.set_value(jnp.ones((2, 2))),
    "dtype": lambda m: m.a.set_value(jnp.ones(3, jnp.bfloat16)),
    "replaced": lambda m: setattr(m, "a", nnx.BatchStat(jnp.full(4, 2.0))),
    "tied": lambda m: setattr(m, "a", m.b),
    "metadata": lambda m: m.a.set_metadata(seen=1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", STEPS)
def test_a_trace_is_not_used_on_after_a_state_has_changed(step, change):
    model, x = Pair(), jnp.float32(3.0)
    STEPS[step](model, x)
    CHANGES[change](model)
    expected = float(weight(model) * x)
    assert float(STEPS[step](model, x)) == expected
    assert not holds_tracer(model)


STACKED = nnx.StateAxes({nnx.PathContains("made"): 0, ...: None})


@pytest.mark.parametrize("transform", ["jit", "grad", "remat", "scan", "cond"])
def test_states_made_in_a_trace_come_out_concrete(transform):
    def make(m: Any, x: Any) -> Any:
        m.made = nnx.Variable(x * 2)
        return x.sum()

    run: dict[str, Callable[[Any, Any], Any]] = {
        "jit": nnx.jit(make),
        "grad": nnx.grad(make, argnums=1),
        "remat": nnx.remat(make),
        "scan": lambda m, x: nnx.scan(make, in_axes=(STACKED, 0), out_axes=0)(
            m, x[None]
        ),
        "cond": lambda m, x: nnx.cond(x.sum() > 0, make, make, m, x),
    }
    model = Pair()
    try:
        run[transform](model, jnp.ones(2))
    except TraceContextError:
        assert not hasattr(model, "made")
        return
    finally:
        assert not holds_tracer(model)
    assert model.made.value.ravel().tolist() == [2.0, 2.0]
    model.made.value += 1


def test_a_failed_trace_leaves_no_state_with_its_tracers():
    model, kept = Pair(), []

    @nnx.jit
    def step(m, x):
        m.made = nnx.Variable(x)
        m.a.value = m.a.value * x
        kept.append(m.made)
        raise KeyError

    with pytest.raises(KeyError):
        step(model, 2.0)
    assert not hasattr(model, "made")
    assert not holds_tracer(model)
    with pytest.raises(TraceContextError, match="a trace that has ended"):
        kept[0].value += 1


def test_an_inner_trace_is_not_used_on_with_the_values_of_another_outer_one():
    inner = nnx.jit(lambda m, x: (m.a.value * x).sum())

    def outer(m, x):
        m.a.value = m.a.value * 2  # a tracer of this trace, from here on
        return inner(m, x)

    for step in (nnx.jit(outer), nnx.remat(outer), nnx.jit(lambda m, x: outer(m, x))):
        model = Pair()
        assert [float(step(model, 1.0)) for _ in range(2)] == [6.0, 12.0]
        assert float(inner(model, 1.0)) == 12.0


@pytest.mark.parametrize("outer", [nnx.jit, nnx.remat, jax.jit])
def test_an_inner_function_keeps_no_state_of_an_outer_trace(outer):
    box: dict[str, Any] = {}
    inner = nnx.jit(lambda y: y * box["v"].value)

    def run(x: Any, y: Any) -> Any:
        box["v"] = nnx.Variable(x)
        first = inner(y)
        box["v"] = nnx.Variable(x * 10)
        return first, inner(y)

    for x in (2.0, 4.0):
        step = outer(lambda x, y: run(x, y))  # a new function: it is traced anew
        assert [float(y) for y in step(x, 3.0)] == [3 * x, 30 * x]
        with pytest.raises(TraceContextError, match="a trace that has ended"):
            inner(3.0)
        box["v"] = nnx.Variable(5.0)
        assert float(inner(3.0)) == 15.0


def test_an_inner_function_finds_what_is_bound_anew_within_a_trace():
    first, second, box = nnx.Variable(2.0), nnx.Variable(20.0), {}
    inner = nnx.jit(lambda y: y * box["v"].value)

    @nnx.jit
    def outer(y):
        results = []
        for box["v"] in (first, second, first):
            results.append(inner(y))
        return results

    assert [float(y) for y in outer(3.0)] == [6.0, 60.0, 6.0]
    first.value = 5.0
    assert [float(y) for y in outer(3.0)] == [15.0, 60.0, 15.0]


def test_a_bare_tracer_that_an_inner_function_kept_is_an_error():
    """Of a dict that is none of oakum's JAX tells it where it is used."""
    box: dict[str, Any] = {}
    inner = nnx.jit(lambda y: y * box["x"])
    outer = nnx.jit(lambda x, y: (box.update(x=x), inner(y))[1])
    with pytest.warns(LostUpdateWarning, match=r"a traced value in `box\['x'\]`"):
        assert float(outer(2.0, 3.0)) == 6.0
    with pytest.raises(jax.errors.UnexpectedTracerError):
        inner(3.0)


def test_a_cached_trace_keeps_no_model_alive():
    step = nnx.jit(lambda m, x: total(m, x))
    model = Pair()
    step(model, 2.0)
    dead = weakref.ref(model)
    del model
    gc.collect()
    assert dead() is None
    assert float(step(Pair(), 2.0)) == 6.0
    assert step._cache_size() == 1
