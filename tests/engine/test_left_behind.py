"""A traced value that a function leaves in what it captures is told of, by its name."""

from __future__ import annotations

import types
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import LostUpdateWarning, TraceContextError

X = jnp.ones(2)
seen: list = []
last: Any = None


class Slotted:
    __slots__ = ("last",)


class Log:
    def __init__(self) -> None:
        self.rows: list = []

    def add(self, row: Any) -> None:
        self.rows.append(row)


class OfClass:
    last: Any = None


def put_global(x: Any) -> None:
    global last
    last = x


def call_helper(x: Any) -> None:
    seen.append(x)


module = types.ModuleType("settings_of_a_program")
HOLDERS: dict[str, tuple[Any, Callable[[Any, Any], Any], str]] = {
    "list": ([], lambda h, x: h.append(x), r"holder\[0\]` \(list\)"),
    "second": ([1.0], lambda h, x: h.append(x), r"holder\[1\]"),
    "dict": ({}, lambda h, x: h.update(a=x), r"holder\['a'\]` \(dict\)"),
    "OrderedDict": (
        OrderedDict(),
        lambda h, x: h.update(a=x),
        r"holder\['a'\]` \(OrderedDict\)",
    ),
    "defaultdict": (
        defaultdict(list),
        lambda h, x: h["a"].append(x),
        r"holder\['a'\]\[0\]",
    ),
    "deque": (deque(maxlen=3), lambda h, x: h.append(x), r"holder\[0\]` \(deque\)"),
    "object": (Log(), lambda h, x: h.add(x), r"holder\.rows\[0\]"),
    "slots": (Slotted(), lambda h, x: setattr(h, "last", x), r"holder\.last"),
    "namespace": (
        types.SimpleNamespace(),
        lambda h, x: setattr(h, "a", x),
        r"holder\.a` \(SimpleNamespace\)",
    ),
    "class": (OfClass, lambda h, x: setattr(h, "last", x), r"holder\.last`,"),
    "module": (module, lambda h, x: setattr(h, "last", x), r"holder\.last`,"),
    "of a helper": (None, lambda h, x: call_helper(x), r"seen\[0\]"),
    "global": (None, lambda h, x: put_global(x), "last`,"),
}
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "jit": lambda f: nnx.jit(f)(X),
    "grad": lambda f: nnx.grad(f)(X),
    "vmap": lambda f: nnx.vmap(f)(X),
    "remat": lambda f: nnx.remat(f)(X),
    "grad in jit": lambda f: nnx.jit(lambda x: nnx.grad(f)(x))(X),
    "scan": lambda f: nnx.scan(f, in_axes=0, out_axes=0)(X),
    "cond": lambda f: nnx.cond(True, f, lambda x: x.sum() * 0.0, X),
}


@pytest.fixture(autouse=True)
def _emptied():
    seen.clear()
    put_global(None)


def run(transform: str, holder: Any, put: Callable[[Any, Any], Any]) -> None:
    def body(x: Any) -> Any:
        put(holder, x * 2)
        return (x * 2).sum()

    TRANSFORMS[transform](body)


@pytest.mark.parametrize("kind", HOLDERS)
def test_a_value_left_in_what_is_captured_is_told_with_its_name(kind):
    holder, put, name = HOLDERS[kind]
    told = rf"`body` left a traced value in `{name}[\s\S]*`nnx\.jit`"
    with pytest.warns(LostUpdateWarning, match=told) as caught:
        run("jit", holder, put)
    assert len(caught) == 1
    assert "Instead: return the value, and put it in" in str(caught[0].message)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_tells_of_it(transform):
    with pytest.warns(LostUpdateWarning, match=r"left a traced value in `holder\[0\]`"):
        run(transform, [], lambda h, x: h.append(x))


LEGAL: dict[str, Callable[[Any, Any], Any]] = {
    "number": lambda h, x: h.append(3),
    "shape": lambda h, x: h.append(x.shape),
    "taken out again": lambda h, x: (h.append(x), h.clear()),
    "array of the program": lambda h, x: h.append(X),
}


@pytest.mark.parametrize("edit", LEGAL)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_is_no_value_of_the_trace_is_not_told(transform, edit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(transform, [], LEGAL[edit])


@pytest.mark.parametrize("transform", ["grad", "vmap", "remat", "cond"])
def test_a_value_of_a_trace_around_may_be_left(transform):
    @nnx.jit
    def step(x: Any) -> Any:
        kept: list = []
        run(transform, kept, lambda h, _: h.append(x))
        return kept[0]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jnp.array_equal(step(X), X)


def test_the_switch_makes_it_an_error_or_looks_for_nothing():
    put = HOLDERS["list"][1]
    with nnx.guard(lost="error"), pytest.raises(LostUpdateWarning):
        run("jit", [], put)
    with warnings.catch_warnings(), nnx.guard(lost="off"):
        warnings.simplefilter("error")
        run("jit", [], put)


class Model(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(X)
        self.k = 1.0


@pytest.mark.parametrize("name", ["k", "last"])
@pytest.mark.parametrize("transform", ["jit", "grad", "vmap", "remat"])
def test_an_attribute_that_is_set_past_setattr_gets_back_what_it_had(transform, name):
    model = Model()

    def put(m: Any, x: Any) -> None:
        assert m.k == 1.0
        object.__setattr__(m, name, x)

    with pytest.raises(
        TraceContextError, match=r"Model `(holder|model)`[\s\S]*in body"
    ):
        run(transform, model, put)
    assert (model.k, hasattr(model, "last")) == (1.0, False)


def test_one_that_was_set_before_anything_was_read_is_told():
    with pytest.warns(LostUpdateWarning, match=r"`holder\.last` \(Model\)"):
        run("grad", Model(), lambda m, x: object.__setattr__(m, "last", x))
