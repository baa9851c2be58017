"""Attributes that are set past `__setattr__` between calls, where a program does so."""

from __future__ import annotations

import sys
import types
from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._statics import bypassed

X = jnp.ones(3)
# Not by name: this very file would be found.
put, drop = getattr(object, "__setattr__"), getattr(object, "__delattr__")  # noqa: B009


class Model(nnx.Module):
    k = 9.0

    def __init__(self):
        self.k = 1.0
        self.w = nnx.Param(X)

    def __call__(self, x: Any) -> Any:
        return x * self.w.value * self.k


step = nnx.jit(lambda m: m(X))
CALLS = {
    "given": step,
    "vmap": lambda m: nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(m, X[None])[0],
    "scan": lambda m: nnx.scan(lambda m, x: (m, m(x)))(m, X[None])[1][0],
    "remat": lambda m: nnx.remat(lambda m: m(X))(m),
    "grad": lambda m: nnx.grad(lambda m: m(X).sum())(m)["w"].value,
    "clone": lambda m: nnx.clone(m)(X),
    "merge": lambda m: nnx.merge(*nnx.split(m))(X),
}


@pytest.mark.parametrize("way", CALLS)
def test_an_attribute_set_past_the_module_is_seen(way, monkeypatch):
    monkeypatch.setattr(bypassed, "on", True)
    call, model = CALLS[way], Model()
    assert call(model)[0] == call(model)[0] == 1.0
    put(model, "k", 5.0)
    assert call(model)[0] == 5.0
    drop(model, "k")
    assert call(model)[0] == 9.0


def test_another_variable_and_what_is_captured_are_seen(monkeypatch):
    monkeypatch.setattr(bypassed, "on", True)
    model = Model()
    step = nnx.jit(lambda: model(X))
    assert step()[0] == step()[0] == 1.0
    put(model, "w", nnx.Param(X * 5))
    assert step()[0] == 5.0
    put(model, "k", 2.0)
    assert step()[0] == 10.0


TEXTS = {
    "object.__setattr__(m, 'k', 1)": True,
    "def f(m):\n    past = object.__delattr__": True,
    "class A:\n    def f(self):\n        object.__setattr__(self, 'k', 1)": False,
    "super().__setattr__('k', 1)": False,
}


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_looked_for_in_the_modules_of_the_program(text, monkeypatch, tmp_path):
    fresh = type(bypassed)()
    fresh._seen.update(sys.modules)
    module: Any = types.ModuleType("some_program")
    (tmp_path / "some_program.py").write_text(text)
    module.__file__ = str(tmp_path / "some_program.py")
    monkeypatch.setitem(sys.modules, "some_program", module)
    assert fresh.is_written(None) == TEXTS[text]


def test_it_is_looked_for_in_the_classes_of_modules():
    space: dict[str, Any] = {"nnx": nnx, "__name__": "elsewhere"}
    text = "class M(nnx.Module):\n    def f(self): {}.__setattr__(self, 'k', 1)"
    exec(text.format("object"), space)
    fresh = type(bypassed)()
    fresh._count = len(sys.modules)
    assert (fresh.is_written(space["M"]), fresh.is_written(Model)) == (True, False)
