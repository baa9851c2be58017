"""capture: what a model records comes beside the result, and leaves no trace."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._protocols import _observe
from oakum.errors import ArgumentError, StructureError
from tests.mistakes import assert_raises
from tests.models import snapshot

X = jnp.ones(2)


@functools.cache
def block_class(lib: Any) -> Any:
    class Leaf(lib.Module):
        def __init__(self):
            self.w = lib.Param(jnp.full(2, 3.0))

        def half(self, x):
            return x * 0.5

        def __call__(self, x):
            self.sow(lib.Intermediate, "h", x)
            return self.half(self.perturb("p", x)) * self.w

    class Block(lib.Module):
        def __init__(self):
            self.a = Leaf()
            self.b = Leaf()

        def first(self, x):
            return self.a(x)

        def __call__(self, x):
            return self.b(self.a(x))

    return Block


def make(lib: Any = nnx) -> Any:
    return block_class(lib)()


def numbers(lib: Any, result: Any) -> Any:
    """Result and States as lists and dicts."""
    value, *states = result if isinstance(result, tuple) else (result,)
    states = [lib.to_pure_dict(state) for state in states]
    return jax.tree.map(lambda x: x.tolist(), (value, states))


# Functions of the library and of a model, that return (result, states).
CASES = {
    "module": lambda lib, m: lib.capture(m, lib.Intermediate)(X),
    "method": lambda lib, m: lib.capture(m.first, lib.Intermediate)(X),
    "function": lambda lib, m: lib.capture(lambda m, x: m(x), lib.Intermediate)(m, X),
    "decorator": lambda lib, m: lib.capture(lib.Intermediate)(lambda m, x: m(x))(m, X),
    "twice": lambda lib, m: lib.capture(lambda m, x: m(m(x)), lib.Intermediate)(m, X),
    "two": lambda lib, m: lib.capture(m, lib.Intermediate, lib.Perturbation)(X),
    "none": lambda lib, m: lib.capture(m)(X),
    "perturbations": lambda lib, m: lib.capture(m, lib.Perturbation)(X),
    "perturbations_jit": lambda lib, m: lib.capture(
        lib.jit(lambda m, x: m(x)), lib.Perturbation
    )(m, X),
    "methods": lambda lib, m: lib.capture(
        m, lib.Intermediate, method_outputs=lib.Intermediate
    )(X),
    "jit": lambda lib, m: lib.jit(
        lambda m, x: lib.capture(m, lib.Intermediate, method_outputs=lib.Intermediate)(
            x
        )
    )(m, X),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", CASES)
def test_what_is_captured_is_what_flax_captures(name):
    flax = pytest.importorskip("flax.nnx")
    got, expected = [numbers(lib, CASES[name](lib, make(lib))) for lib in (nnx, flax)]
    assert got == expected


@pytest.mark.parametrize("name", CASES)
def test_the_model_is_as_before(name):
    model = make()
    before = snapshot(model)
    CASES[name](nnx, model)
    assert snapshot(model) == before
    assert not _observe._watched
    assert not _observe._observers


@pytest.mark.parametrize("when", ["before", "inside", "jit"])
def test_the_model_is_as_before_where_the_function_raises(when):
    def call(m, x):
        if when != "before":
            m(x)
        raise KeyError(when)

    model = make()
    before = snapshot(model)
    captured = nnx.capture(call, nnx.Intermediate, method_outputs=nnx.Intermediate)
    with pytest.raises(KeyError, match=when):
        (nnx.jit(captured) if when == "jit" else captured)(model, X)
    assert snapshot(model) == before
    assert type(model).__call__.__qualname__.endswith("Block.__call__")
    assert not _observe._watched


def test_records_of_an_earlier_call_come_back():
    model = make()
    model(X)
    before = nnx.to_pure_dict(nnx.state(model, nnx.Intermediate))
    nnx.capture(model, nnx.Intermediate)(X + 1.0)
    after = nnx.to_pure_dict(nnx.state(model, nnx.Intermediate))
    assert jax.tree.map(jnp.array_equal, after, before)["a"]["h"][0]


def test_the_gradient_of_a_hidden_value():
    model = make()
    _, perturbations = nnx.capture(model, nnx.Perturbation)(X)

    def loss(model, perturbations):
        return nnx.capture(lambda m: m(X).sum(), init=perturbations)(model)

    grads = nnx.grad(loss, argnums=1)(model, perturbations)
    assert grads.b.p.value.tolist() == [1.5, 1.5]
    assert grads.a.p.value.tolist() == [2.25, 2.25]


def test_another_module_of_the_same_class_records_no_methods():
    student, teacher = make(), make()
    teacher.b = student.a

    def call(student, x):
        return student(x) + teacher.a.half(x)

    _, state = nnx.capture(call, nnx.Intermediate, method_outputs=nnx.Intermediate)(
        student, X
    )
    assert not hasattr(teacher.a, "half()Intermediate")
    assert len(state.a.half.value) == 1


def jitted(lib: Any) -> tuple[Any, Any]:
    step = lib.jit(lambda m, x: m(x))
    captured = lib.capture(
        lambda m, x: step(m, x), lib.Intermediate, method_outputs=lib.Intermediate
    )
    return step, captured


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("first", ["plain", "capture"])
def test_a_compiled_function_has_a_trace_of_its_own_inside_a_capture(first):
    flax = pytest.importorskip("flax.nnx")
    found = []
    for lib in (nnx, flax):
        model, (step, captured) = make(lib), jitted(lib)
        if first == "plain":
            step(model, X)
        state = numbers(lib, captured(model, X))
        step(model, X)
        found.append((state, lib.to_pure_dict(lib.state(model)).keys()))
    assert found[0] == found[1]
    assert found[0][0][1][0]["a"].keys() == {"h", "half", "__call__"}


def test_a_compiled_function_is_traced_once_for_plain_calls_and_once_for_captures():
    model, (step, captured) = make(), jitted(nnx)
    for _ in range(3):
        captured(model, X)
        nnx.pop(model, nnx.Intermediate)
        step(model, X)
        nnx.pop(model, nnx.Intermediate)
    assert step._cache_size() == 2


class Seen(nnx.Variable):
    """A type of the user's."""


def capture_inside(kind: Any, inner: dict[str, Any]) -> Any:
    """A function that captures another type inside, and keeps what that finds."""

    def call(m: Any, x: Any) -> Any:
        y, found = nnx.capture(lambda m, x: m(x), kind, **inner)(m, x)
        call.found = nnx.to_pure_dict(found)
        return y

    return call


@pytest.mark.parametrize("how", [lambda f: f, nnx.jit], ids=["eager", "jit"])
def test_a_capture_inside_a_capture_leaves_what_it_does_not_collect(how):
    model = make()
    before = snapshot(model)
    call = capture_inside(nnx.Perturbation, {})
    _, state = nnx.capture(how(lambda m, x: call(m, x)), nnx.Intermediate)(model, X)
    assert nnx.to_pure_dict(state)["b"]["h"][0].tolist() == [1.5, 1.5]
    assert call.found["a"].keys() == {"p"}
    assert snapshot(model) == before


def test_captures_of_methods_under_two_types_collect_each_their_own():
    model = make()
    before = snapshot(model)
    call = capture_inside(Seen, {"method_outputs": Seen})
    kind = nnx.Intermediate
    _, state = nnx.capture(call, kind, method_outputs=kind)(model, X)
    assert state.a.keys() == {"h", "half", "__call__"}
    assert call.found["a"].keys() == {"half", "__call__"}
    assert snapshot(model) == before


def test_captures_in_threads_do_not_mix():
    def run(value: float) -> float:
        found = nnx.capture(make(), nnx.Intermediate, method_outputs=nnx.Intermediate)(
            X * value
        )[1]
        return float(found.a.half.value[0][0])

    with ThreadPoolExecutor(4) as pool:
        values = [float(i) for i in range(40)]
        assert list(pool.map(run, values)) == [v / 2 for v in values]


def test_captures_that_wait_for_each_other_do_not_deadlock():
    barrier = threading.Barrier(2, timeout=20)
    models = [make() for _ in range(2)]

    def call(m, x):
        barrier.wait()
        return m(x)

    captured = nnx.capture(call, nnx.Intermediate, method_outputs=nnx.Intermediate)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda m: captured(m, X), models))
    assert [len(state.a["half"].value) for _, state in results] == [1, 1]
    assert not _observe._watched


def test_a_thread_that_captures_nothing_records_nothing():
    model, other = make(), make()

    def call(m, x):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(other.a.half, x).result()
        return m(x)

    nnx.capture(call, nnx.Intermediate, method_outputs=nnx.Intermediate)(model, X)
    assert not hasattr(other.a, "half()Intermediate")


def test_a_function_that_is_called_on_the_class_takes_no_module():
    class Scaled(nnx.Module):
        def factor():  # pyright: ignore[reportSelfClsParameterName]
            return 3.0

        def __call__(self, x):
            return x * Scaled.factor()

    captured = nnx.capture(Scaled(), nnx.Intermediate, method_outputs=nnx.Intermediate)
    assert captured(X)[0].tolist() == [3.0, 3.0]


def test_a_jitted_capture_is_traced_once():
    step = nnx.jit(lambda m, x: nnx.capture(m, nnx.Intermediate)(x))
    model = make()
    for _ in range(5):
        step(model, X)
    assert step._cache_size() == 1


MISTAKES = {
    "no-module": (
        lambda: nnx.capture(lambda x: x, nnx.Intermediate)(X),
        ArgumentError,
        r"first argument of <lambda> .*expected the module(?s:.*)lambda model, x",
    ),
    "no-argument": (
        lambda: nnx.capture(lambda: 0, nnx.Intermediate)(),
        ArgumentError,
        "NoneType, expected the module",
    ),
    "init": (
        lambda: nnx.capture(
            lambda m: 0, init=nnx.State({"x": {"p": nnx.Perturbation(X)}})
        )(make()),
        StructureError,
        r"init has x\.p, but the Block has no such submodule(?s:.*)earlier capture",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named_with_remedy(name):
    assert_raises(*MISTAKES[name])


def test_what_methods_return_is_not_left_behind_where_nothing_collects_it():
    model = make()
    before = snapshot(model)
    nnx.capture(model, nnx.Intermediate, method_outputs=Seen)(X)
    assert snapshot(model) == before


class Recorder(nnx.Module):
    def __call__(self, x, only_captured=None):
        kept = self.sow(Seen, "h", x, capture_noop=only_captured)
        return kept, self.perturb("p", x, capture_noop=only_captured)


@pytest.mark.parametrize("how", [lambda m: m, nnx.jit], ids=["eager", "jit"])
def test_what_a_capture_does_not_ask_for_is_recorded_nowhere(how):
    model = Recorder()
    (kept, x), found = nnx.capture(how(lambda m, x: m(x)), nnx.Intermediate)(model, X)
    assert (bool(kept), x.tolist()) == (False, X.tolist())
    assert not nnx.to_pure_dict(found)
    assert snapshot(model) == snapshot(Recorder())


def test_capture_noop_records_in_captures_alone():
    model = Recorder()
    assert model(X, only_captured=True)[0] is False
    assert snapshot(model) == snapshot(Recorder())
    (kept, _), seen, taps = nnx.capture(model, Seen, nnx.Perturbation)(X, True)
    assert kept is True
    assert seen.h.value[0].tolist() == X.tolist()
    assert taps.p.value.tolist() == [[0, 0]] or taps.p.value.tolist() == [0, 0]
