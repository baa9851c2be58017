"""profile: measures a call on copies, and says where its time and memory go."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx
from oakum.errors import ArgumentError
from tests.models import snapshot


@nnx.jit
def train(model, optimizer, x):
    grads = nnx.grad(lambda m: (m(x) ** 2).mean())(model)
    optimizer.update(model, grads)


def test_the_bytes_are_those_of_the_state_and_nothing_changes():
    model = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)
    before = snapshot(nnx.List([model, optimizer]))
    found = nnx.profile(train, model, optimizer, jnp.ones((2, 4)), calls=3)
    assert snapshot(nnx.List([model, optimizer])) == before
    size = 4 * (4 * 8 + 8)
    assert (found.parameters, found.arguments) == (size, 32)
    assert found.slots == size + 4  # a trace of each parameter, and the step
    assert found.donated == 2 * size + 4
    assert min(found[:8]) > 0
    for word in ("plan", "dispatch", "write back", "compile", "160 B", "donated"):
        assert word in str(found)


def append(model, x):
    model.seen = [*model.seen, nnx.Variable(x)]


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (lambda model, x: model(x), {}),
        (lambda model, x, mode: model(x), {"static_argnames": "mode"}),
        (append, {}),
    ],
    ids=["reads", "static", "changes_structure"],
)
def test_any_jitted_function_is_measured(step, options):
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    model.seen = []
    given = {"mode": "fast"} if options else {}
    found = nnx.profile(
        nnx.jit(step, **options), model, jnp.ones((1, 2)), calls=2, **given
    )
    assert found.host > 0
    assert len(model.seen) == 0


def test_another_function_is_refused():
    with pytest.raises(ArgumentError, match=r"no function of nnx\.jit"):
        nnx.profile(jax.jit(lambda x: x), 1.0)
