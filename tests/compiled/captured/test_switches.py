"""What decides which state a jitted function finds is looked at again in each call."""

from __future__ import annotations

import enum
import gc
import types
import weakref
from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._compiled.plans._plan import Plan

X = jnp.ones(3)


class Scale(nnx.Module):
    def __init__(self, value: float):
        self.w = nnx.Param(jnp.full(3, value))

    def __call__(self, x: Any) -> Any:
        return x * self.w.value[: len(x)]


class Mode(enum.Enum):
    ONE = 1
    TWO = 2


ONE, TWO, FIVE = Scale(1.0), Scale(2.0), Scale(5.0)
layers: list = []
heads: dict = {}
row: list = [None]
holder = types.SimpleNamespace(head=None, mode="one", flag=False, kind=Mode.ONE)
plain = types.SimpleNamespace(first=ONE)
flag: Any = None


def through(items: Any, x: Any) -> Any:
    for item in items:
        x = item(x)
    return x


def default(x: Any, head: Any = ONE) -> Any:
    return head(x)


def set_global(value: Any) -> None:
    globals()["flag"] = value


# What a function does, an edit after which it gives 5, and one that takes it back.
WAYS: dict[str, tuple] = {
    "an empty list": (
        lambda x: through(layers, x),
        lambda: layers.append(FIVE),
        layers.clear,
    ),
    "a longer list": (
        lambda x: through([ONE, *layers], x),
        lambda: layers.append(FIVE),
        layers.clear,
    ),
    "an empty dict": (
        lambda x: through(heads.values(), x),
        lambda: heads.update(a=FIVE),
        heads.clear,
    ),
    "the last of a list": (
        lambda x: [ONE, *layers][-1](x),
        lambda: layers.extend([TWO, FIVE]),
        layers.clear,
    ),
    "None in a list": (
        lambda x: x if row[0] is None else row[0](x),
        lambda: row.__setitem__(0, FIVE),
        lambda: row.__setitem__(0, None),
    ),
    "None": (
        lambda x: x if holder.head is None else holder.head(x),
        lambda: setattr(holder, "head", FIVE),
        lambda: setattr(holder, "head", None),
    ),
    "a global that is None": (
        lambda x: ONE(x) if flag is None else flag(x),
        lambda: set_global(FIVE),
        lambda: set_global(None),
    ),
    "a text": (
        lambda x: {"one": ONE, "five": FIVE}[holder.mode](x),
        lambda: setattr(holder, "mode", "five"),
        lambda: setattr(holder, "mode", "one"),
    ),
    "a bool": (
        lambda x: (FIVE if holder.flag else ONE)(x),
        lambda: setattr(holder, "flag", True),
        lambda: setattr(holder, "flag", False),
    ),
    "an Enum": (
        lambda x: (FIVE if holder.kind is Mode.TWO else ONE)(x),
        lambda: setattr(holder, "kind", Mode.TWO),
        lambda: setattr(holder, "kind", Mode.ONE),
    ),
    "a further attribute": (
        lambda x: getattr(holder, "tail", ONE)(x),
        lambda: setattr(holder, "tail", FIVE),
        lambda: delattr(holder, "tail"),
    ),
    "a further number": (
        lambda x: ONE(x) * getattr(holder, "factor", 1.0),
        lambda: setattr(holder, "factor", 5.0),
        lambda: delattr(holder, "factor"),
    ),
    "a further attribute, by a derivative": (
        nnx.grad(lambda x: getattr(holder, "tail", ONE)(x).sum()),
        lambda: setattr(holder, "tail", FIVE),
        lambda: delattr(holder, "tail"),
    ),
    "all attributes": (
        lambda x: through([v for v in vars(plain).values() if callable(v)], x),
        lambda: setattr(plain, "tail", FIVE),
        lambda: delattr(plain, "tail"),
    ),
    "a further key": (
        lambda x: ONE(x) * heads.get("factor", 1.0),
        lambda: heads.update(factor=5.0),
        heads.clear,
    ),
    "defaults": (
        default,
        lambda: setattr(default, "__defaults__", (FIVE,)),
        lambda: setattr(default, "__defaults__", (ONE,)),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_other_state_is_found_after_an_edit(way):
    function, edit, take_back = WAYS[way]
    step = nnx.jit(function)
    for _ in "12":
        assert step(X)[0] == step(X)[0] == 1.0
        edit()
        try:
            assert step(X)[0] == step(X)[0] == 5.0
        finally:
            take_back()


def test_a_switch_that_is_back_is_compiled_no_more():
    traces = []

    @nnx.jit
    def step(x: Any) -> Any:
        traces.append("a trace")
        return (FIVE if holder.flag else ONE)(x)

    for on in (False, True, False, True):
        holder.flag = on
        step(X)
    before = len(traces)
    for on in (False, True, False):
        holder.flag = on
        step(X)
    assert len(traces) == before


def test_what_a_trace_notes_for_itself_is_no_switch():
    notes: list = []
    seen = {"first": None}

    @nnx.jit
    def step(model: Any, x: Any) -> Any:
        notes.append(("traced", lambda: None))
        seen["first"] = "a trace"
        return model(x)

    for _ in "123":
        step(ONE, X)
    for size in (1, 2, 1, 2):
        step(ONE, jnp.ones(size))
    assert len(notes) == 3


def test_a_log_beside_the_model_traces_nothing_anew():
    traces, kept = [], [ONE]

    @nnx.jit
    def step(x: Any) -> Any:
        traces.append(1)
        return kept[0](x)

    step(X)
    before = len(traces)
    for loss in range(4):
        kept.append(float(loss))
        step(X)
    assert len(traces) == before


def test_an_attribute_that_no_code_names_traces_nothing_anew():
    log = types.SimpleNamespace(model=ONE)
    step = nnx.jit(lambda x: log.model(x))
    step(X)
    for name in ("loss", "accuracy", "time"):
        setattr(log, name, 1.0)
        step(X)
    assert step._cache_size() == 1


counts = [0]
settings = {"scale": 2.0, "name": "a"}
models: list = []


def test_a_list_of_numbers_costs_a_call_no_look_at_everything(monkeypatch):
    forward, model = nnx.jit(lambda m, x: (counts, m(x))[1]), Scale(2.0)
    forward(model, X)
    asked = []
    current = Plan.current
    monkeypatch.setattr(Plan, "current", lambda p: asked.append(p) or current(p))
    forward(model, X), forward(model, X)
    before = len(asked)
    counts[0] += 1  # no state: it is asked once, and the new number is what is known
    for _ in range(3):
        forward(model, X)
    assert (before, len(asked)) == (0, 1)
    assert forward._cache_size() == 2


def test_numbers_that_give_way_to_state_are_seen():
    def forward(x):
        return x * settings["scale"]

    jitted = nnx.jit(forward)
    assert jitted(3.0) == jitted(3.0) == 6.0
    settings["scale"] = nnx.Param(jnp.array(5.0))
    assert jitted(3.0) == 15.0
    settings["scale"][...] = 7.0
    assert jitted(3.0) == 21.0
    settings["scale"] = 2.0


def test_what_is_looked_at_is_not_kept_alive():
    def forward(x):
        return sum([model(x) for model in models], x)

    jitted = nnx.jit(forward)
    models.append(Scale(1.0))
    assert jitted(X).sum() == jitted(X).sum() == 6.0
    gone = weakref.ref(models.pop())
    assert jitted(X).sum() == 3.0
    gc.collect()
    assert gone() is None
