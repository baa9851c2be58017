"""The free and the bound form of the optimizer."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


def loss_fn(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x).mean()


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
other = nnx.Conv(2, 3, (3,), rngs=nnx.Rngs(0))
x = jnp.ones(2)
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
loss, grads = nnx.value_and_grad(loss_fn)(model, x)
optimizer.update(model, grads)
steps: int = int(optimizer.step.value)
bound = nnx.ModelAndOptimizer(model, optax.sgd(0.1))
bound.update(grads)
features: int = bound.model.out_features
nnx.Optimizer(model, 1e-3, wrt=nnx.Param)  # mistake
nnx.Optimizer(model, optax.adam(1e-3), wrt=3)  # mistake
nnx.Optimizer(model)  # mistake
optimizer.update(model, loss)  # mistake
optimizer.update(other, grads)  # mistake
optimizer.update(model, (loss, grads))  # mistake
optimizer.nosuch  # mistake
bound.model.nosuch  # mistake
