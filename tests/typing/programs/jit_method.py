"""jit on methods."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    def __init__(self) -> None:
        self.inner = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    @nnx.jit
    def once(self, x: jax.Array) -> jax.Array:
        return self.inner(x)

    @nnx.jit(static_argnums=2)
    def often(self, x: jax.Array, times: int = 2) -> jax.Array:
        for _ in range(times):
            x = self.once(x)
        return x


model = Model()
x = jnp.ones(2)
y: jax.Array = model.once(x)
y = model.often(x, 3)
y = model.often(x)
model.once()  # mistake
model.once("x")  # mistake
model.often(x, "3")  # mistake
model.often(x).nosuch  # mistake
text: str = model.once(x)  # mistake
