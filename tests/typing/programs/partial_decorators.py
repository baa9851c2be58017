"""Transforms through functools.partial, as decorators of functions and methods."""

from functools import partial

import jax
import jax.numpy as jnp

import oakum as nnx


@partial(nnx.jit, static_argnames=("depth",))
def stacked(model: nnx.Linear, x: jax.Array, depth: int) -> jax.Array:
    for _ in range(depth):
        x = model(x)
    return x


@partial(nnx.vmap, in_axes=(None, 0))
def rows(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


@partial(nnx.scan, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
def through(x: jax.Array, model: nnx.Linear) -> jax.Array:
    return model(x)


@partial(nnx.remat, prevent_cse=False)
def saved(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


@partial(nnx.value_and_grad, argnums=0)
def loss_fn(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


class Model(nnx.Module):
    def __init__(self) -> None:
        self.inner = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    @partial(nnx.jit, static_argnums=2)
    def often(self, x: jax.Array, times: int) -> jax.Array:
        for _ in range(times):
            x = self.inner(x)
        return x

    def __call__(self, x: jax.Array) -> jax.Array:
        self.outer  # mistake
        return self.inner(x)


@partial(nnx.custom_vjp, nondiff_argnums=(1,))
def powered(x: jax.Array, power: int) -> jax.Array:
    return x**power


model, x = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.ones(2)
y: jax.Array = stacked(model, x, depth=2)
y = rows(model, jnp.ones((3, 2)))
y = saved(model, x)
loss, grads = loss_fn(model, x)
y = loss
y = Model().often(x, 3)
y = Model()(x)
forms = powered.defvjp
stacked.nosuch  # mistake
powered.defvjp(3)  # mistake
