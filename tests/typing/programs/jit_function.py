"""jit keeps the signature of a function."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.jit
def step(model: nnx.Linear, x: jax.Array, *, scale: float = 1.0) -> jax.Array:
    return model(x) * scale


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
y: jax.Array = step(model, x)
y = step(model, x, scale=2.0)
y = step(model=model, x=x)
step(model)  # mistake
step(model, 3, x)  # mistake
step(x, model)  # mistake
step(model, x, scale="2")  # mistake
step(model, x, sclae=2.0)  # mistake
step(model, x).nosuch  # mistake
text: str = step(model, x)  # mistake
