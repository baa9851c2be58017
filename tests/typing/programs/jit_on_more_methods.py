"""jit on methods: class methods, static ones, properties of classes, and inherited."""

from functools import partial

import jax
import jax.numpy as jnp

import oakum as nnx


class Base(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)

    @nnx.jit
    def forward(self, x: jax.Array, *, scale: float = 1.0) -> jax.Array:
        return self.inner(x) * scale

    @partial(nnx.jit, static_argnames=("times",))
    def often(self, x: jax.Array, times: int) -> jax.Array:
        for _ in range(times):
            x = self.inner(x)
        return x

    @staticmethod
    @nnx.jit
    def double(x: jax.Array) -> jax.Array:
        return 2 * x


class Child(Base):
    @nnx.jit
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.forward(x), self.double(x)


child = Child(rngs=nnx.Rngs(0))
x = jnp.ones(2)
a, b = child(x)
y: jax.Array = child.forward(x, scale=2.0)
y = child.often(x, times=3)
y = Base.double(x)
y = Base.forward(child, x)
y = a + b
child.forward(x, 2.0)  # mistake
child.forward(x, scale="2")  # mistake
child(x, x)  # mistake
Base.forward(x, child)  # mistake
child.double()  # mistake
c, d, e = child(x)  # mistake
text: str = child.double(x)  # mistake
