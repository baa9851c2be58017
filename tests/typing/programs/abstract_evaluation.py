"""eval_shape keeps the class."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, width: int) -> None:
        self.inner = nnx.Linear(2, width, rngs=nnx.Rngs(0))


def forward(model: Model, x: jax.Array) -> jax.Array:
    return model.inner(x)


model = nnx.eval_shape(lambda: Model(3))
shape: tuple[int, ...] = model.inner.kernel.shape
y = nnx.eval_shape(forward, model, jax.ShapeDtypeStruct((2,), jnp.float32))
shape = y.shape
model.nosuch  # mistake
nnx.eval_shape(lambda: Model("3"))  # mistake
y.nosuch  # mistake
text: str = y  # mistake
