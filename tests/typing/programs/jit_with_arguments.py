"""jit as a decorator with arguments, and called."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.jit(static_argnames="depth")
def stacked(model: nnx.Linear, x: jax.Array, depth: int) -> jax.Array:
    for _ in range(depth):
        x = model(x)
    return x


def double(x: jax.Array) -> jax.Array:
    return 2 * x


model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
x = jnp.ones(2)
y: jax.Array = stacked(model, x, depth=3)
y = nnx.jit(double, inline=True)(x)
stacked(model, x)  # mistake
stacked(model, x, depth="3")  # mistake
nnx.jit(double)()  # mistake
nnx.jit(double)(x).nosuch  # mistake
nnx.jit(double, static_argnum=0)  # mistake
nnx.jit(3)  # mistake
