"""Control flow outside of any trace: one trace for each function and structure."""

from __future__ import annotations

import functools
import gc
import os
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum._compiled import _once
from tests.models import Counting, Pair

CALLS = 100
COUNT: list[str] = []


def counted(name, function):
    def call(*args):
        COUNT.append(name)
        return function(*args)

    return call


def advance(model, x):
    model.advance()
    return x + 1.0


grow = counted("body", advance)
shrink = counted("other", lambda model, x: x - 1.0)
below = counted("test", lambda pair: pair[1] < 3.0)
pair_step = counted("body", lambda pair: (pair[0], advance(*pair)))
indexed = counted("body", lambda i, pair: (pair[0], advance(*pair)))
scanned = nnx.scan(
    counted("body", lambda pair, x: ((pair[0], advance(*pair)), x)),
    in_axes=(nnx.Carry, 0),
    out_axes=(nnx.Carry, 0),
)

LOOPS = {
    "cond": (lambda m, x: nnx.cond(True, grow, shrink, m, x), {"body", "other"}),
    "switch": (lambda m, x: nnx.switch(0, [grow, shrink], m, x), {"body", "other"}),
    "while": (lambda m, x: nnx.while_loop(below, pair_step, (m, x)), {"test", "body"}),
    "fori": (lambda m, x: nnx.fori_loop(0, 3, indexed, (m, x)), {"body"}),
    "scan": (lambda m, x: scanned((m, x), jnp.zeros(3)), {"body"}),
}


@pytest.fixture(autouse=True)
def cleared():
    COUNT.clear()


@pytest.mark.parametrize("name", LOOPS)
def test_one_trace_of_each_function_over_100_eager_calls(name):
    call, traced = LOOPS[name]
    model = Counting()
    for _ in range(CALLS):
        call(model, jnp.zeros(()))
    assert sorted(COUNT) == sorted(traced)
    assert model.agrees()
    assert int(model.step.value) in (CALLS, 3 * CALLS)


@pytest.mark.parametrize("name", LOOPS)
def test_another_object_of_the_same_structure_is_not_traced(name):
    call, traced = LOOPS[name]
    for _ in range(3):
        model = Counting()
        call(model, jnp.zeros(()))
        assert model.agrees()
    assert set(COUNT) <= traced
    assert len(COUNT) <= len(traced)


def test_another_shape_is_traced_and_the_first_is_kept():
    body = counted("body", lambda i, x: x + 1.0)
    for n in (2, 3, 2, 3):
        assert nnx.fori_loop(0, 2, body, jnp.zeros(n)).tolist() == [2.0] * n
    assert len(COUNT) == 2


def test_options_are_told_apart_by_value_and_type():
    step = counted("body", lambda c, x: (c + x, c))
    unrolls = (1, True, 2, 1, True, 2)
    for unroll in unrolls:
        total, _ = nnx.scan(step, unroll=unroll)(jnp.zeros(()), jnp.arange(4.0))
        assert float(total) == 6.0
    assert len(COUNT) <= 3 * 4  # unrolled steps may be traced one by one


CHANGES = {
    "variable": lambda model: model.a.set_value(model.a.value + 1.0),
    "attribute": lambda model: setattr(model, "mode", model.mode + "!"),
    "replaced": lambda model: setattr(model, "a", nnx.Param(model.a.value + 1.0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_closure_over_state_that_changes_sees_it(change):
    model = Pair()

    def body(i, x):
        return x + model.a.value.sum() + len(model.mode)

    for _ in range(4):
        expected = 2 * float(model.a.value.sum() + len(model.mode))
        assert float(nnx.fori_loop(0, 2, body, jnp.zeros(()))) == expected
        CHANGES[change](model)


SHIFT = 0.0


def by_global(value):
    global SHIFT
    SHIFT = value
    return shift_by_global


def shift_by_global(x):
    return x + SHIFT


def by_inner_function(value):
    global SHIFT
    SHIFT = value
    return shift_inside


def shift_inside(x):
    return (lambda y: y + SHIFT)(x)


def make_cell():
    bound = 0.0

    def shift(x):
        return x + bound

    def rebind(value):
        nonlocal bound
        bound = value
        return shift

    return rebind


@pytest.mark.parametrize("kind", [float, int, jnp.float32], ids=lambda k: k.__name__)
@pytest.mark.parametrize(
    "bind", [by_global, by_inner_function, make_cell()], ids=["global", "inner", "cell"]
)
def test_a_name_that_is_bound_anew_is_seen(bind, kind):
    for value in (1, 2, 1, 3):
        function = bind(kind(value))
        expected = float(kind(value))
        assert float(nnx.cond(True, function, shrink_one, jnp.zeros(()))) == expected


def shrink_one(x):
    return x - 1.0


def test_a_captured_model_that_a_loop_writes_is_blocked():
    model = Pair()

    def body(i, x):
        model.a.value = model.a.value + x
        return x

    with pytest.raises(nnx.errors.TraceContextError, match=r"model\.a"):
        nnx.fori_loop(0, 2, body, jnp.zeros(()))
    assert model.a.value.tolist() == [1.0] * 3


def test_functions_are_freed_and_forgotten():
    before = set(map(id, _once._made.values()))

    def body(i, x):
        return x + 1.0

    nnx.fori_loop(0, 2, body, jnp.zeros(()))
    (made,) = [m for m in _once._made.values() if id(m) not in before]
    ref, made = weakref.ref(body), weakref.ref(made)
    del body
    gc.collect()
    assert ref() is None
    assert made() is None or made() not in _once._made.values()


def test_what_is_kept_is_bounded():
    bodies = [lambda i, x: x for _ in range(_once._MAX_MADE + 5)]
    for body in bodies:
        _once._find(min, (body,), ())
    assert len(_once._made) <= _once._MAX_MADE
    _once._made.clear()


def test_a_new_function_for_each_call_is_right_every_time():
    results = [
        float(nnx.fori_loop(0, 2, lambda i, x, k=k: x + k, jnp.zeros(())))
        for k in range(5)
    ]
    assert results == [2.0 * k for k in range(5)]


def test_a_partial_and_a_bound_method_run():
    class Adder:
        def step(self, i, x):
            return x + 1.0

    add = functools.partial(lambda by, i, x: x + by, 2.0)
    assert float(nnx.fori_loop(0, 3, Adder().step, jnp.zeros(()))) == 3.0
    assert float(nnx.fori_loop(0, 3, add, jnp.zeros(()))) == 6.0


def test_inside_a_trace_the_loop_belongs_to_the_outer_trace():
    body = counted("body", lambda i, x: x + 1.0)
    step = jax.jit(lambda x: nnx.fori_loop(0, 3, body, x))
    assert [float(step(jnp.zeros(()))) for _ in range(CALLS)] == [3.0] * CALLS
    assert len(COUNT) == 1


def test_an_argument_that_is_no_array_runs_as_it_is():
    """What `jit` would not take is passed on to `jax.lax`."""
    got = nnx.cond(True, lambda x: x["a"], lambda x: x["a"] + 1.0, {"a": 1.0})
    assert float(got) == 1.0


# -- configuration that the functions find


class Settings:
    rate = 1.0


class Stepper:
    rate = 1.0

    def __call__(self, i, m):
        m.value = m.value * self.rate
        return m


SETTINGS, TABLE, ROW, STEPPER = Settings(), {"rate": 1.0}, [1.0], Stepper()
RATE, ARRAY, BYTES = 1.0, np.ones(()), bytearray([1])


def rate_of_helper():
    return RATE


def _times(rate):
    def body(i, m):
        m.value = m.value * rate()
        return m

    return body


READERS = {
    "attribute": _times(lambda: SETTINGS.rate),
    "item": _times(lambda: TABLE["rate"]),
    "list": _times(lambda: ROW[0]),
    "helper": _times(lambda: rate_of_helper()),
    "partial": functools.partial(_times(lambda: RATE)),
    "callable": STEPPER,
    "array of NumPy": _times(lambda: jnp.asarray(ARRAY)[()]),
    "number of NumPy": _times(lambda: float(ARRAY)),
    "bytearray": _times(lambda: BYTES[0]),
    "environment": _times(lambda: float(os.environ["OAKUM_TEST_RATE"])),
}


def set_rate(value, monkeypatch):
    for place in (SETTINGS, STEPPER):
        monkeypatch.setattr(place, "rate", value)
    monkeypatch.setitem(TABLE, "rate", value)
    ROW[0] = value
    ARRAY[()] = value
    BYTES[0] = int(value)
    monkeypatch.setitem(globals(), "RATE", value)
    monkeypatch.setenv("OAKUM_TEST_RATE", str(value))


EAGER_LOOPS = {
    "fori_loop": lambda f, v: nnx.fori_loop(0, 2, f, v),
    "while_loop": lambda f, v: nnx.while_loop(
        lambda c: c[0] < 2, lambda c: (c[0] + 1, f(c[0], c[1])), (jnp.array(0), v)
    ),
    "cond": lambda f, v: nnx.cond(True, lambda v: f(0, f(0, v)), lambda v: v, v),
    "switch": lambda f, v: nnx.switch(0, [lambda v: f(0, f(0, v))], v),
}


@pytest.mark.parametrize("loop", EAGER_LOOPS.values(), ids=EAGER_LOOPS)
@pytest.mark.parametrize("body", READERS.values(), ids=READERS)
def test_configuration_is_looked_at_again(loop, body, monkeypatch):
    v = nnx.Param(jnp.ones(()))
    set_rate(1.0, monkeypatch)
    loop(body, v)
    set_rate(3.0, monkeypatch)
    loop(body, v)
    assert float(v.value) == 9.0


def test_a_body_that_counts_its_traces_is_traced_once():
    calls, v = [], nnx.Param(jnp.ones(()))

    def body(i, v):
        calls.append(1)
        return v

    for _ in range(3):
        nnx.fori_loop(0, 2, body, v)
    first = len(calls)
    nnx.fori_loop(0, 2, body, v)
    assert len(calls) == first
