"""grad and value_and_grad as decorators with arguments."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.value_and_grad
def plain(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


@nnx.value_and_grad(has_aux=True)
def with_aux(model: nnx.Linear, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    y = model(x)
    return y.mean(), y


@nnx.grad(argnums=1)
def of_input(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
loss, grads = plain(model, x)
(loss, y), grads = with_aux(model, x)
y = y + loss
of_input(model, x)
plain(model)  # mistake
with_aux(x, x)  # mistake
of_input(model)  # mistake
plain(model, x)[0].nosuch  # mistake
