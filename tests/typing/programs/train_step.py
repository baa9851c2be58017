"""A whole training step."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = [nnx.Linear(4, 4, rngs=rngs) for _ in range(3)]
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.drop(self.norm(x))


@nnx.jit
def train_step(
    model: Model, optimizer: nnx.Optimizer[Model], x: jax.Array, y: jax.Array
) -> jax.Array:
    def loss_fn(model: Model) -> jax.Array:
        return ((model(x) - y) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


model = Model(rngs=nnx.Rngs(0, dropout=1))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
x = jnp.ones((2, 4))
loss: jax.Array = train_step(model, optimizer, x, x)
train_step(model, x, x)  # mistake
train_step(optimizer, model, x, x)  # mistake
train_step(model, optimizer, x, 3, 4)  # mistake
model.layers[0].nosuch  # mistake
model.norms  # mistake
loss.backward()  # mistake
