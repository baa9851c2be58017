"""Types of Variables of the user's own."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Counter(nnx.Variable[jax.Array]):
    pass


class Model(nnx.Module):
    def __init__(self) -> None:
        self.count = Counter(jnp.array(0))

    def __call__(self, x: jax.Array) -> jax.Array:
        self.count[...] += 1
        return x * self.count.value


def read(count: Counter) -> jax.Array:
    return count.value


model = Model()
read(model.count)
read(model)  # mistake
model.count.value.nosuch  # mistake
read(model.count).nosuch  # mistake
