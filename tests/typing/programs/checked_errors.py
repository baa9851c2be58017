"""checkify gives the error beside the result."""

import jax
import jax.numpy as jnp

import oakum as nnx


def inverse(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return 1 / model(x)


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
error, y = nnx.checkify(inverse)(model, x)
text: str | None = error.get()
z: jax.Array = y
error, y, rest = nnx.checkify(inverse)(model, x)  # mistake
nnx.checkify(inverse)(model)  # mistake
y.nosuch  # mistake
error.nosuch  # mistake
