"""Each transform on each kind of graph gives what a plain call gives.

Every transform is used so that it runs the function once: a loop of one step, a map
over an axis of one. Then the result, all state and the structure of the graph must be
those of the call without it, eager and under one or two `jit`s.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import oakum as nnx
from tests.models import holds_tracer


class Base(nnx.Module):
    """Counts its calls, in a Variable."""

    def __init__(self) -> None:
        self.calls = nnx.Variable(jnp.array(0))
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    def __call__(self, x: Any) -> Any:
        self.calls.value += 1
        return self.more(self.linear(x))

    def more(self, x: Any) -> Any:
        return x


class Shared(Base):
    def __init__(self) -> None:
        super().__init__()
        self.again, self.weight = self.linear, self.linear.kernel
        self.tied = {"count": self.calls}

    def more(self, x: Any) -> Any:
        self.tied["count"].value += 1
        return self.again(x) @ self.weight.value


class Cycle(Base):
    def __init__(self) -> None:
        super().__init__()
        self.child = nnx.Dict(parent=self, items=nnx.List([self]))

    def more(self, x: Any) -> Any:
        parent = self.child["parent"].child["items"][0]
        parent.calls.value += 1
        return parent.linear(x)


class Containers(Base):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nnx.Param(jnp.array(2.0)), {"a": nnx.Param(jnp.array(3.0))}]
        self.pair = (nnx.Variable(jnp.array(1.0)), "text")
        self.empty = ([], {}, None)

    def more(self, x: Any) -> Any:
        self.pair[0].value = self.pair[0].value * self.layers[0].value
        return x * self.layers[1]["a"].value


class Arrays(Base):
    def __init__(self) -> None:
        super().__init__()
        self.scale = jnp.array([2.0, 3.0])
        self.table = np.array([1.0, 2.0], np.float32)

    def more(self, x: Any) -> Any:
        return x * self.scale[None] + self.table[None]


class StaticAttributes(Base):
    def __init__(self) -> None:
        super().__init__()
        self.mode, self.sizes, self.function = "twice", (1, 2), jnp.tanh

    def more(self, x: Any) -> Any:
        return self.function(x) * (2.0 if self.mode == "twice" else 1.0) * self.sizes[1]


class WithLayers(Base):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def more(self, x: Any) -> Any:
        return self.dropout(self.norm(x))


GRAPHS = [
    Base,
    Shared,
    Cycle,
    Containers,
    Arrays,
    StaticAttributes,
    WithLayers,
]


def call(m: Any, x: Any) -> Any:
    return m(x)


def by_grad(m: Any, x: Any) -> Any:
    def loss(m: Any, x: Any) -> Any:
        y = call(m, x)
        return y.sum(), y

    return nnx.value_and_grad(loss, has_aux=True)(m, x)[0][1]


def by_custom_vjp(m: Any, x: Any) -> Any:
    function = nnx.custom_vjp(call)
    function.defvjp(lambda m, x: (call(m, x), None), lambda _, g: (g[0][0], x))
    return function(m, x)


def by_scan(m: Any, x: Any) -> Any:
    loop = nnx.scan(
        lambda carry: (carry[0], call(*carry)),
        in_axes=(nnx.Carry,),
        out_axes=nnx.Carry,
        length=1,
    )
    return loop((m, x))[1]


def by_while_loop(m: Any, x: Any) -> Any:
    first = (jnp.array(0), m, x)
    return nnx.while_loop(
        lambda c: c[0] < 1, lambda c: (c[0] + 1, c[1], call(*c[1:])), first
    )[2]


def by_vmap(m: Any, x: Any) -> Any:
    axes = nnx.StateAxes({...: None})
    return nnx.vmap(call, in_axes=(axes, None), out_axes=None, axis_size=1)(m, x)


def by_shard_map(m: Any, x: Any) -> Any:
    mesh = Mesh(jax.devices()[:1], ("data",))
    return nnx.shard_map(call, mesh=mesh, in_specs=(P(), P()), out_specs=P())(m, x)


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "jit": nnx.jit(call),
    "remat": nnx.remat(call),
    "grad": by_grad,
    "cond": lambda m, x: nnx.cond(x.sum() > 0, call, call, m, x),
    "switch": lambda m, x: nnx.switch(1, [call, call], m, x),
    "fori_loop": lambda m, x: nnx.fori_loop(
        0, 1, lambda i, c: (c[0], call(*c)), (m, x)
    )[1],
    "while_loop": by_while_loop,
    "scan": by_scan,
    "vmap": by_vmap,
    "vjp": lambda m, x: nnx.vjp(call, m, x)[0],
    "jvp": lambda m, x: nnx.jvp(call, (m, x), (None, jnp.ones_like(x)))[0],
    "custom_vjp": by_custom_vjp,
    "checkify": lambda m, x: nnx.checkify(call)(m, x)[1],
    "shard_map": by_shard_map,
}


def content(model: Any) -> tuple[Any, list[Any]]:
    values = [
        np.asarray(jax.random.key_data(x))
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        else np.asarray(x)
        for x in jax.tree.leaves(nnx.state(model))
    ]
    return nnx.graphdef(model), values


@pytest.mark.parametrize("times", [0, 1, 2], ids=["eager", "jit", "jit-of-jit"])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.__name__)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_gives_what_a_plain_call_gives(transform, graph, times):
    x = jnp.array([[1.0, 2.0], [3.0, 5.0]])
    plain, model = graph(), graph()
    objects = [x for _, x in nnx.iter_graph(model) if nnx.is_data(x)]
    expected = call(plain, x)
    step: Any = TRANSFORMS[transform]
    for _ in range(times):
        step = nnx.jit(step)
    np.testing.assert_allclose(step(model, x), expected, rtol=1e-6, atol=1e-6)
    got, wanted = content(model), content(plain)
    assert got[0] is wanted[0]
    for a, b in zip(got[1], wanted[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    after = [x for _, x in nnx.iter_graph(model) if nnx.is_data(x)]
    assert all(a is b for a, b in zip(after, objects, strict=True))
    assert not holds_tracer(model)


# What differentiates a custom_vjp later needs its objects, which hold its outputs.
@pytest.mark.parametrize("transform", [t for t in TRANSFORMS if t != "custom_vjp"])
def test_a_trace_leaves_nothing_to_the_garbage_collector(transform):
    """In a reference cycle, the tracers of a trace would outlive it."""
    model, x = Base(), jnp.ones((2, 2))
    twins: list[Any] = []

    def traced(m: Any, x: Any) -> None:
        twins.append(weakref.ref(m))
        TRANSFORMS[transform](m, x)

    gc.disable()
    gc.freeze()  # what there was before is not looked at
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        nnx.jit(traced).trace(model, x)
        gc.collect()
        kept = [x for x in gc.garbage if isinstance(x, nnx.Variable | Tracer)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
    assert not kept
    assert twins[0]() is None
