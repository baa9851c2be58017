"""What nobody sees as it happens is found when the function ends."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._statics import bypassed
from oakum.errors import ArgumentError, LostUpdateWarning


class Model(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.ones(()))
        self.k = 1.0

    @functools.cached_property
    def double(self) -> Any:
        return self.w * 2


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "jit": nnx.jit,
    "grad": nnx.grad,
    "remat": nnx.remat,
    "jit of grad": lambda f: nnx.jit(nnx.grad(f)),
}
LOSING: dict[str, Callable[[Any], Any]] = {
    "jit": nnx.jit,
    "remat": nnx.remat,
    "grad": lambda f: nnx.grad(f, argnums=1),
}
EDITS: dict[str, Callable[[Any], None]] = {
    "set": lambda m: object.__setattr__(m, "k", 2.0),
    "state": lambda m: object.__setattr__(m, "more", nnx.Param(m.w * 2)),
    "bare": lambda m: object.__setattr__(m, "last", m.w * 2),
    "deleted": lambda m: object.__delattr__(m, "k"),
}


def content(model: Model) -> dict[str, Any]:
    return {name: str(jnp.asarray(value)) for name, value in vars(model).items()}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_object_setattr_does_to_an_argument_arrives(transform, edit):
    model, plain = Model(), Model()
    EDITS[edit](plain)

    def body(m: Any) -> Any:
        EDITS[edit](m)
        return m.w * 1.0

    TRANSFORMS[transform](body)(model)
    assert content(model) == content(plain)


@pytest.mark.parametrize("transform", ["jit", "grad", "remat"])
def test_a_property_that_a_body_computes_is_no_edit(transform):
    model = Model()
    TRANSFORMS[transform](lambda m: m.double * 1.0)(model)
    assert set(vars(model)) == {"w", "k"}


class Tracked(list):
    """A list of a library's own."""


@pytest.mark.parametrize("kind", [list, Tracked])
def test_a_list_that_a_body_fills_and_empties_is_as_it_was(kind, monkeypatch):
    monkeypatch.setattr(bypassed, "on", True)

    class Trainer(Model):
        def __init__(self):
            super().__init__()
            self.losses = kind()

        def step(self, x: Any) -> Any:
            object.__setattr__(self, "losses", kind([x.sum()]))
            total = self.losses[0] * self.w
            self.losses.clear()
            return total

    trainer = Trainer()
    step = nnx.jit(lambda x: trainer.step(x))  # it captures the trainer
    for x in (1.0, 2.0):
        assert jnp.allclose(step(jnp.full(2, x)), 2 * x * trainer.w)
    assert trainer.losses == []


CONTAINERS: dict[str, tuple[Callable, Callable]] = {
    "list": (lambda m: [m], lambda c, new: c.append(new)),
    "empty list": (lambda m: [], lambda c, new: c.append(new)),
    "item": (lambda m: [m], lambda c, new: c.__setitem__(0, new)),
    "nested": (lambda m: ([[m]], 3.0), lambda c, new: c[0][0].append(new)),
    "dict": (lambda m: {"a": m}, lambda c, new: c.update(b=new)),
    "OrderedDict": (lambda m: OrderedDict(a=m), lambda c, new: c.update(b=new)),
    "defaultdict": (lambda m: defaultdict(int, a=m), lambda c, new: c.update(b=new)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("transform", LOSING)
def test_what_is_put_in_an_argument_that_is_a_pytree_is_lost_and_told(transform, kind):
    make, put = CONTAINERS[kind]
    argument = make(Model())

    def extend(container: Any, w: Any) -> Any:
        put(container, nnx.Param(w * 2))
        return w * 1.0

    name = "dict" if "ict" in kind else "list"
    told = rf"`extend` put a Param in a {name} .*[\s\S]*nnx\.{name.title()}\(\.\.\.\)"
    with pytest.warns(LostUpdateWarning, match=told):
        LOSING[transform](extend)(argument, jnp.ones(()))


LEGAL: dict[str, Callable[[Any], Any]] = {
    "returned": lambda c: (c.append(nnx.Param(jnp.ones(()))), c)[1],
    "an array": lambda c: c.append(jnp.ones(())),
    "a number": lambda c: c.insert(0, 3),
    "taken out": lambda c: c.pop().w * 1.0,
    "another list": lambda c: len([*c, Model()]),
}


@pytest.mark.parametrize("edit", LEGAL)
def test_an_edit_of_a_list_that_loses_no_object_is_not_told(edit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nnx.jit(LEGAL[edit])([Model()])


class Trainer:
    def __init__(self) -> None:
        self.model = Model()


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: deque([Model()]), "pass a list, tuple or dict"),
        (lambda: {Model()}, "pass a list, tuple or dict"),
        (Trainer, r"make Trainer an nnx\.Module"),
        (object, r"static_argnums=\(0,\)"),
    ],
    ids=["deque", "set", "object", "no state"],
)
def test_an_argument_that_hides_state_is_refused_with_what_to_pass(make, remedy):
    with pytest.raises(ArgumentError, match=remedy):
        nnx.jit(lambda c: 1.0)(make())
