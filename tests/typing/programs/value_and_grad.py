"""value_and_grad gives the value its type."""

import jax
import jax.numpy as jnp

import oakum as nnx


def loss_fn(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


def with_aux(model: nnx.Linear, x: jax.Array) -> tuple[jax.Array, dict[str, int]]:
    return model(x).mean(), {"count": 3}


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
loss, grads = nnx.value_and_grad(loss_fn)(model, x)
mean: jax.Array = loss
(loss, aux), grads = nnx.value_and_grad(with_aux, has_aux=True)(model, x)
count: int = aux["count"]
text: str = nnx.value_and_grad(loss_fn)(model, x)[0]  # mistake
nnx.value_and_grad(loss_fn)(model)  # mistake
a, b, c = nnx.value_and_grad(loss_fn)(model, x)  # mistake
nnx.value_and_grad(with_aux)  # mistake
loss.nosuch  # mistake
aux["count"].nosuch  # mistake
