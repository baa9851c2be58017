"""Threads: models that are stepped at once, and read while they are traced."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import DeletedArrayError, TraceContextError
from tests.models import Counting, Pair, holds_tracer


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Runs functions at the same time, one thread each; an error of any is raised."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [f.result() for f in [pool.submit(run, f) for f in functions]]


@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_four_threads_step_their_own_models(kind):
    step = nnx.jit(lambda m, x: m.advance() or m.step.value * x)
    models = [Counting() for _ in range(4)]
    if kind == "warm":
        step(Counting(), 1)

    def train(model: Any) -> list[int]:
        return [int(step(model, i % 3)) for i in range(1, 50)]

    results = together(*[lambda m=m: train(m) for m in models])
    assert all(r == [i * (i % 3) for i in range(1, 50)] for r in results)
    assert all(m.agrees() and int(m.step.value) == 49 for m in models)
    assert step._cache_size() == 1


def test_threads_that_bring_new_shapes_and_structures():
    @nnx.jit
    def step(model, x):
        model.advance()
        if x.shape[0] % 2:
            model.array = x
        return x.sum()

    def train(number: int) -> bool:
        model = Counting()
        for i in range(1, 13):
            n = (i * (number + 1)) % 5 + 1
            assert float(step(model, jnp.ones(n))) == n
        return model.agrees() and int(model.step.value) == 12

    assert together(*[lambda n=n: train(n) for n in range(4)]) == [True] * 4
    assert step._cache_size() <= 20  # shape of x, of model.array if there is one


def test_reading_a_model_while_it_is_traced_sees_whole_values():
    inside, done = threading.Event(), threading.Event()

    @nnx.jit
    def step(model):
        model.advance()
        model.mode = "inside"
        model.items = [model.step]
        inside.set()
        assert done.wait(60)

    model = Counting()
    model.mode = "outside"

    def read() -> tuple[Any, ...]:
        assert inside.wait(60)
        seen = holds_tracer(model), model.mode, model.agrees(), hasattr(model, "items")
        done.set()
        return seen

    assert together(lambda: step(model), read)[1] == (False, "outside", True, False)
    assert int(model.step.value) == 1


def test_forward_while_another_thread_traces_a_new_shape():
    forward = nnx.jit(lambda m, x: (m.a.value * x).sum())
    model, stop = Pair(), threading.Event()

    def trace() -> None:
        for n in range(1, 30):
            forward(model, jnp.ones((n, 3))[0] if n % 2 else jnp.ones(()))
            nnx.jit(lambda m, x: m.b.value * x)(model, 1.0)
        stop.set()

    def read() -> set[float]:
        seen = set()
        while not stop.is_set():
            seen.add(float(forward(model, 2.0)))
            seen.add(float(model.a.value.sum()) * 2)
        return seen

    assert together(trace, read, read)[1:] in ([{6.0}, {6.0}],)


def test_one_plan_with_outcomes_of_both_kinds():
    """The same objects, with shapes of which one writes and the other only reads."""

    @nnx.jit
    def step(model, x):
        if x.shape[0] == 1:
            model.a.value = model.a.value + 0
        return x

    model = Pair()

    def run(n: int) -> set[tuple[int, ...]]:
        return {step(model, jnp.ones(n)).shape for _ in range(300)}

    assert together(lambda: run(1), lambda: run(2)) == [{(1,)}, {(2,)}]


def test_threads_that_step_and_read_one_model_never_meet_a_consumed_array():
    """Their order is open, as of plain Python; each call sees old or new arrays."""
    model = Pair()
    step = nnx.jit(lambda m: m.a.set_value(m.a.value + 1))
    read = nnx.jit(lambda m: m.a.value.min() - m.a.value.max())

    def repeat(function: Callable[[Any], Any]) -> list[Any]:
        return [function(model) for _ in range(200)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        results = together(*[lambda f=f: repeat(f) for f in (step, read, step, read)])
    finally:
        sys.setswitchinterval(interval)
    assert {float(r) for r in results[1] + results[3]} == {0.0}
    assert 201 <= float(model.a.value[0]) <= 401


def test_an_array_that_the_user_donated_is_still_an_error():
    model = Pair()
    model.a.value.delete()
    with pytest.raises(DeletedArrayError, match=r"args\[0\]\.a` was donated"):
        nnx.jit(lambda m: m.a.value + 1)(model)


def test_the_guard_of_one_thread_does_not_block_another():
    inside, done = threading.Event(), threading.Event()

    @jax.jit
    def foreign(x):
        inside.set()
        assert done.wait(60)
        return x

    model = Pair()

    def write() -> None:
        assert inside.wait(60)
        model.a.value = model.a.value + 1
        model.items.append(nnx.Param(jnp.ones(1)))
        model.mode = "eval"
        done.set()

    together(lambda: foreign(1.0), write)
    assert model.a.value.tolist() == [2.0] * 3


def test_a_leak_is_seen_in_the_thread_that_traces():
    model = Pair()

    def leak() -> None:
        with pytest.raises(TraceContextError):
            jax.jit(lambda x: model.a.set_value(x))(jnp.ones(3))

    def write() -> None:
        for _ in range(200):
            model.b.value = model.b.value + 1

    together(leak, write, leak)
    assert model.a.value.tolist() == [1.0] * 3
    assert model.b.value.tolist() == [201.0] * 3


class Twice(nnx.Module):
    """Two Variables that each step sets to one number."""

    def __init__(self):
        self.a = nnx.Param(jnp.zeros(1 << 12))
        self.b = nnx.Variable(jnp.zeros(1 << 12))


def firsts(*values: Any) -> set[float]:
    return {float(np.asarray(value)[0]) for value in values}


def read_one(model: Any, path: Any) -> set[float]:
    held = model.a.value
    time.sleep(0)
    return firsts(held)


def read_saved(model: Any, path: Any) -> set[float]:
    nnx.save(path, m=model)
    loaded = Twice()
    nnx.load(path, m=loaded)
    return firsts(loaded.a, loaded.b)


def read_clone(model: Any, path: Any) -> set[float]:
    copy = nnx.clone(model)
    return firsts(copy.a, copy.b)


def read_compiled(model: Any, path: Any) -> set[float]:
    return firsts(*nnx.jit(lambda m: (m.a.value, m.b.value))(model))


@pytest.mark.parametrize("read", [read_one, read_saved, read_clone, read_compiled])
def test_a_reader_beside_training_has_whole_values_of_one_step(read, tmp_path):
    model, stop = Twice(), threading.Event()

    @nnx.jit
    def step(m):
        m.a.value = m.a.value + 1
        m.b.value = m.b.value + 1

    def train() -> None:
        while not stop.is_set():
            step(model)

    def watch() -> list[set[float]]:
        try:
            return [read(model, tmp_path / "m.safetensors") for _ in range(40)]
        finally:
            stop.set()

    step(model)
    _, seen = together(train, watch)
    assert all(len(values) == 1 for values in seen)
