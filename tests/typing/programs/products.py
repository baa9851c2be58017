"""vjp and jvp give the value its type."""

import jax
import jax.numpy as jnp

import oakum as nnx


def loss_fn(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
y, pull = nnx.vjp(loss_fn, model, x)
loss: jax.Array = y
grads, x_grad = pull(y)
y, tangent = nnx.jvp(loss_fn, (model, x), (model, x))
y.nosuch  # mistake
text: str = tangent  # mistake
y, pull, aux = nnx.vjp(loss_fn, model, x)  # mistake
pull()  # mistake
