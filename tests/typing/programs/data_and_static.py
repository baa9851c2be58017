"""data and static keep the type of the value."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    def __init__(self) -> None:
        self.sizes = nnx.static([1, 2])
        self.factor = nnx.data(2.0)
        self.tables = nnx.data([jnp.ones(3)])

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * self.factor + self.tables[0]


model = Model()
first: int = model.sizes[0]
factor: float = model.factor
text: str = model.factor  # mistake
model.sizes.nosuch  # mistake
model.tables[0].nosuch  # mistake
