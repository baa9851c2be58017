"""custom_vjp keeps the signature, and checks what defvjp is given."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.custom_vjp
def scaled(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


def forward(model: nnx.Linear, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return scaled(model, x), x


def backward(x: jax.Array, g: tuple[object, jax.Array]) -> tuple[object, jax.Array]:
    return g[0], x * g[1]


scaled.defvjp(forward, backward)
model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
x = jnp.ones(2)
y: jax.Array = scaled(model, x)
scaled(model)  # mistake
scaled(x, model)  # mistake
scaled(model, x).nosuch  # mistake
scaled.defvjp(forward)  # mistake
scaled.nosuch  # mistake
