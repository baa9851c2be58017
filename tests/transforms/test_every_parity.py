"""Every other transform gives what flax.nnx gives, and leaves the same state."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import checkify
from jax.sharding import Mesh, PartitionSpec

import oakum
from tests.peer import assert_same

pytestmark = pytest.mark.peer
X = jnp.array([1.0, 2.0])


def make(nnx: Any) -> Any:
    class Model(nnx.Module):
        def __init__(self, value=3.0):
            self.w = nnx.Param(jnp.full(2, value))
            self.count = nnx.BatchStat(jnp.zeros(2))

        def __call__(self, x):
            self.count[...] = self.count[...] + 1.0
            return x * self.w[...]

    return Model()


def after(call: Any) -> Any:
    """The case that makes a model, calls, and gives the result and the state."""

    def case(nnx):
        model = make(nnx)
        return call(nnx, model), nnx.state(model)

    return case


def step(model: Any, x: Any) -> Any:
    return model(x)


def carried(i: Any, carry: Any) -> Any:
    model, x = carry
    return model, model(x)


def alone(nnx: Any, name: str) -> Any:
    """A transform that flax has in one of its modes alone."""
    mode = {} if nnx is oakum else {"graph": False, "graph_updates": False}
    return functools.partial(getattr(nnx, name), **mode)


def vjp(nnx, model):
    y, pullback = alone(nnx, "vjp")(lambda m, x: x * m.w[...], model, X)
    by_model, by_x = pullback(jnp.ones(2))
    return y, by_model.w[...], by_x


def jvp(nnx, model):
    tangent = nnx.clone(model)
    return alone(nnx, "jvp")(
        lambda m, x: x * m.w[...], (model, X), (tangent, jnp.ones(2))
    )


def while_loop(nnx, model):
    return nnx.while_loop(
        lambda carry: carry[1].sum() < 100.0,
        lambda carry: carried(0, carry),
        (model, X),
    )[1]


def checked(nnx, model):
    def f(m, x):
        checkify.check(x.sum() < 0, "the sum is {s}", s=x.sum())
        return m(x)

    error, y = nnx.checkify(f)(model, X)
    return error.get().split("(")[0].strip(), y


def shapes(nnx, model):
    out = nnx.eval_shape(lambda: make(nnx))
    return [(path, v.shape) for path, v in nnx.to_flat_state(nnx.state(out))]


def vmap(nnx, model):
    axes = nnx.StateAxes({nnx.Param: None, ...: 0})
    call = nnx.vmap(lambda m, x: (m(x), m.count[...]), in_axes=(axes, None))
    model.count[...] = jnp.arange(2.0)
    return call(model, X)


def scan(nnx, model):
    axes = nnx.StateAxes({nnx.Param: None, ...: nnx.Carry})
    call = nnx.scan(lambda m, x: m(x), in_axes=(axes, 0), out_axes=0, length=3)
    return call(model, jnp.ones((3, 2)))


def shard_map(nnx, model):
    mesh = Mesh(jax.devices()[:2], ("data",))
    spec = nnx.StateSharding({...: PartitionSpec("data")})
    call = nnx.shard_map(
        step,
        mesh=mesh,
        in_specs=(spec, PartitionSpec("data")),
        out_specs=PartitionSpec("data"),
    )
    return call(model, X)


CALLS = {
    "vjp": vjp,
    "jvp": jvp,
    "cond": lambda nnx, m: nnx.cond(X.sum() > 0, step, lambda m, x: x, m, X),
    "switch": lambda nnx, m: nnx.switch(1, [lambda m, x: x, step], m, X),
    "fori_loop": lambda nnx, m: nnx.fori_loop(0, 3, carried, (m, X))[1],
    "while_loop": while_loop,
    "remat": lambda nnx, m: nnx.grad(nnx.remat(lambda m, x: m(x).sum()))(m, X),
    "vmap": vmap,
    "scan": scan,
    "shard_map": shard_map,
    "checkify": checked,
    "eval_shape": shapes,
    "jit_partial": lambda nnx, m: alone(nnx, "jit_partial")(step, m)(X),
    "cached_partial": lambda nnx, m: nnx.cached_partial(nnx.jit(step), m)(X),
    "make_jaxpr": lambda nnx, m: (
        alone(nnx, "make_jaxpr")(step)(m, X).out_avals[0].shape
    ),
    "classes": lambda nnx, m: (
        isinstance(m, nnx.Object) or isinstance(nnx.Rngs(0), nnx.Pytree),
        issubclass(nnx.GRUCell, nnx.RNNCellBase),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_in_flax(name):
    assert_same(after(CALLS[name]))
