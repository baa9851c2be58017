"""Rngs: draws of every kind, streams as defaults, keys and seeds."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Drop(nnx.Module):
    def __init__(self, rate: float, *, rngs: nnx.Rngs | None = None) -> None:
        self.rate = rate
        self.rngs = None if rngs is None else rngs.dropout.fork()

    def __call__(self, x: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        stream = self.rngs if rngs is None else rngs.dropout
        if stream is None:
            return x
        return x * jax.random.bernoulli(stream(), self.rate, x.shape)


rngs = nnx.Rngs(default=0, params=jax.random.key(1))
x: jax.Array = rngs.uniform((2, 3), minval=-1.0)
x = rngs.params.normal((2,))
x = rngs.randint((3,), 0, 10)
x = rngs.bernoulli(0.3, (2,))
x = rngs.permutation(jnp.arange(4))
x = rngs.choice(jnp.arange(4), (2,))
x = rngs.categorical(jnp.ones(3))
x = Drop(0.5, rngs=rngs)(x, rngs=nnx.Rngs(0))
many: nnx.Rngs = rngs.split(4)
known: bool = "params" in rngs
names: list[str] = list(rngs)
copied: nnx.Rngs = nnx.clone(rngs)
rngs.normal("2")  # mistake
rngs.randint((3,))  # mistake
Drop(0.5, rngs=0)  # mistake
Drop(0.5, rngs=rngs.dropout)  # mistake
rngs.params.nosuch  # mistake
nnx.Rngs([1])  # mistake
text: str = rngs.dropout()  # mistake
rngs.split("4")  # mistake
