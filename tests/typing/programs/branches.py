"""cond and switch check the operands and keep the result."""

import jax
import jax.numpy as jnp

import oakum as nnx


def left(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


def right(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return -model(x)


model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
x = jnp.ones(2)
y: jax.Array = nnx.cond(x.sum() > 0, left, right, model, x)
y = nnx.switch(jnp.array(0), [left, right], model, x)
nnx.cond(x.sum() > 0, left, right, model)  # mistake
nnx.cond(x.sum() > 0, left, right, x, model)  # mistake
nnx.switch(jnp.array(0), [left, right], model)  # mistake
text: str = nnx.cond(x.sum() > 0, left, right, model, x)  # mistake
