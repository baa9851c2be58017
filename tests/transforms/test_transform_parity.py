"""jit, grad and Optimizer give what flax.nnx gives, paths and types included."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum
from tests.peer import flax_nnx

pytestmark = pytest.mark.peer


def make(nnx: Any) -> Any:
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
            self.norm = nnx.BatchNorm(2, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            for layer in self.layers:
                x = nnx.relu(layer(x))
            return self.drop(self.norm(x))

    return Model(nnx.Rngs(0))


def loss(model: Any, x: Any) -> Any:
    return (model(x) ** 2).mean()


X = jnp.arange(6.0).reshape(3, 2)


def plain(tree: Any) -> Any:
    def one(x: Any) -> Any:
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return str(x.dtype), np.asarray(x).tolist()

    return jax.tree.map(one, tree)


def flat(nnx: Any, state: Any) -> Any:
    pairs = nnx.to_flat_state(state)
    return [(path, type(v).__name__, plain(v.get_value())) for path, v in pairs]


def grad_default(nnx):
    model = make(nnx)
    return flat(nnx, nnx.grad(loss)(model, X)), flat(nnx, nnx.state(model))


def grad_path(nnx):
    wrt = nnx.DiffState(0, nnx.PathContains("bias"))
    return flat(nnx, nnx.grad(loss, argnums=wrt)(make(nnx), X))


def grad_two(nnx):
    grads, dx = nnx.grad(loss, argnums=(0, 1))(make(nnx), X)
    return flat(nnx, grads), plain(dx)


def grad_batch_stats(nnx):
    wrt = nnx.DiffState(0, (nnx.BatchStat, "bias"))
    return flat(nnx, nnx.grad(loss, argnums=wrt)(make(nnx).eval() or make(nnx), X))


def value_and_aux(nnx):
    both = nnx.value_and_grad(lambda m, x: (loss(m, x), {"x": x}), has_aux=True)
    (value, aux), grads = both(make(nnx), X)
    return plain(value), plain(aux), flat(nnx, grads)


def grad_of_array(nnx):
    return plain(nnx.grad(lambda x, m: loss(m, x))(X, make(nnx)))


def grad_in_jit(nnx):
    model = make(nnx)
    grads = nnx.jit(lambda m, x: nnx.grad(loss)(m, x))(model, X)
    return flat(nnx, grads), flat(nnx, nnx.state(model))


def jit_steps(nnx):
    model = make(nnx)
    optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        value, grads = nnx.value_and_grad(loss)(model, x)
        optimizer.update(model, grads)
        return value

    values = [step(model, optimizer, X) for _ in range(3)]
    return plain(values), flat(nnx, nnx.state((model, optimizer)))


def jit_init(nnx):
    return flat(nnx, nnx.state(nnx.jit(lambda: make(nnx))()))


def model_and_optimizer(nnx):
    model = make(nnx)
    optimizer = nnx.ModelAndOptimizer(model, optax.sgd(0.1, momentum=0.9))
    optimizer.update(nnx.grad(loss)(model, X))
    return flat(nnx, nnx.state(optimizer))


TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "adam": lambda: optax.adam(1e-2),
    "adafactor": lambda: optax.adafactor(1e-2),
    "chain": lambda: optax.chain(optax.clip(1.0), optax.adamw(1e-2)),
    "schedule": lambda: optax.adam(optax.linear_schedule(0.1, 0.0, 5)),
    "inject": lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=0.1),
    "every_k": lambda: optax.MultiSteps(optax.sgd(0.1), 2),
    "lion": lambda: optax.lion(1e-2),
}

CASES = [
    grad_default,
    grad_path,
    grad_two,
    grad_batch_stats,
    value_and_aux,
    grad_of_array,
    grad_in_jit,
    jit_steps,
    jit_init,
    model_and_optimizer,
]


def assert_same(ours: Any, theirs: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a == (pytest.approx(b, rel=1e-3, abs=1e-5) if is_number(b) else b)


def is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


@pytest.mark.parametrize("case", CASES, ids=lambda f: f.__name__)
def test_as_flax(case):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert_same(case(oakum), case(flax_nnx))


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_state_of_an_optimizer_as_flax(name):
    def run(nnx: Any) -> Any:
        model = make(nnx)
        optimizer = nnx.Optimizer(model, TRANSFORMATIONS[name](), wrt=nnx.Param)
        before = flat(nnx, nnx.state(optimizer))
        optimizer.update(model, nnx.grad(loss)(model, X))
        return before, flat(nnx, nnx.state(optimizer)), flat(nnx, nnx.state(model))

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert_same(run(oakum), run(flax_nnx))
