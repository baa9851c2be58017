"""Tiny models and helpers that the tests of the transforms share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx

JITS = [pytest.param(lambda f: f, id="eager"), pytest.param(nnx.jit, id="jit")]
"""Ways to call a function of objects, as cases of a test."""


class Pair(nnx.Module):
    """Two parameters, a list, a dict and a static attribute."""

    def __init__(self, value: float = 1.0):
        self.a = nnx.Param(jnp.full(3, value))
        self.b = nnx.Param(jnp.full(3, value))
        self.items = [nnx.Param(jnp.full(2, value)), nnx.Param(jnp.full(2, value))]
        self.table = {"x": nnx.BatchStat(jnp.zeros(2))}
        self.mode = "train"

    def __call__(self, x: Any) -> Any:
        return x * self.a * self.b


class Counting(nnx.Module):
    """A step counter, and weights that must always agree with it."""

    def __init__(self, width: int = 4, layers: int = 3):
        self.step = nnx.Variable(jnp.zeros((), jnp.int32))
        self.layers = [nnx.Param(jnp.zeros(width)) for _ in range(layers)]

    def advance(self) -> None:
        self.step.value = self.step.value + jnp.ones((), jnp.int32)
        for layer in self.layers:
            layer.value = layer.value + 1.0

    def agrees(self) -> bool:
        step = int(self.step.value)
        return all(bool((np.asarray(v.value) == step).all()) for v in self.layers)


class Trainee(nnx.Module):
    """What a training step changes: weights, statistics, keys and optimizer state."""

    def __init__(self) -> None:
        self.linear = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        self.steps: list[Any] = []
        self.optimizer = nnx.Optimizer(
            nnx.Dict(linear=self.linear, norm=self.norm, drop=self.drop),
            optax.sgd(0.1, momentum=0.9),
        )
        self.step = self.optimizer.step

    def advance(self, x: Any = 1.0) -> None:
        def loss(layers: Any) -> Any:
            y = layers.drop(layers.norm(layers.linear(jnp.ones((2, 3)) * x)))
            return (y**2).mean()

        self.optimizer.update(nnx.grad(loss)(self.optimizer.model))


class Wide(nnx.Module):
    """As many parameters as asked for."""

    def __init__(self, count: int):
        self.weights = [nnx.Param(jnp.ones(2)) for _ in range(count)]


def snapshot(*objects: Any) -> list[Any]:
    """Structure, metadata and values of objects, to compare with `==`."""
    seen = []
    for obj in objects:
        seen.append(nnx.graphdef(obj))
        for path, leaf in _leaves(obj):
            value = leaf.get_raw_value() if isinstance(leaf, nnx.Variable) else leaf
            meta = leaf.get_metadata() if isinstance(leaf, nnx.Variable) else {}
            seen.append((path, _plain(value), meta))
    return seen


def holds_tracer(*objects: Any) -> bool:
    """Whether any leaf of the objects is a tracer."""
    return any(
        isinstance(leaf, jax.core.Tracer)
        for obj in objects
        for _, v in _leaves(obj)
        for leaf in jax.tree.leaves(v.get_raw_value() if hasattr(v, "_raw") else v)
    )


def _leaves(obj: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(obj, nnx.Variable):
        yield (), obj
    else:
        yield from nnx.to_flat_state(nnx.state(obj))


def _plain(value: Any) -> Any:
    def one(x: Any) -> Any:
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.asarray(x).tolist()

    return jax.tree.map(one, value)


def count_events(
    counts: Callable[[Any, str], bool], function: Callable[..., Any], *args: Any
) -> int:
    """How many events of Python's profiler `counts(frame, event)` takes, in a call."""
    count = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += counts(frame, event)

    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return count


def counted_forward() -> tuple[Callable[..., Any], list[int]]:
    """A jitted call of a model, and the number of its traces so far."""
    traces = [0]

    @nnx.jit
    def forward(model: Any, x: Any) -> Any:
        traces[0] += 1
        return model(x)

    return forward, traces


def nested_writes(gradient: Callable[..., Any]) -> Callable[[Any, Any], jax.Array]:
    """A function of a weight and a statistic that takes a gradient in its midst.

    The statistic is written outside of the gradient (times 10) and inside (plus 1).
    """

    def inner(w: Any, stat: Any) -> jax.Array:
        stat.value = stat.value + 1
        return (w.value**3).sum()

    def outer(w: Any, stat: Any) -> jax.Array:
        stat.value = stat.value * 10
        return gradient(inner, w, stat).value.sum()

    return outer
