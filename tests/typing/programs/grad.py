"""grad keeps the parameters; aux its type."""

import jax
import jax.numpy as jnp

import oakum as nnx


def loss_fn(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


def with_aux(model: nnx.Linear, x: jax.Array) -> tuple[jax.Array, int]:
    return model(x).mean(), 3


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
grads = nnx.grad(loss_fn)(model, x)
grads, aux = nnx.grad(with_aux, has_aux=True)(model, x)
number: int = aux
grads = nnx.grad(loss_fn, argnums=nnx.DiffState(0, nnx.Param))(model, x)
nnx.grad(loss_fn)(model)  # mistake
nnx.grad(loss_fn)(x, x)  # mistake
nnx.grad(loss_fn, argnum=0)  # mistake
nnx.grad(with_aux)  # mistake
nnx.grad(loss_fn, has_aux=True)  # mistake
text: str = nnx.grad(with_aux, has_aux=True)(model, x)[1]  # mistake
