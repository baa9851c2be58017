"""Streams that models keep, fork, split and set anew."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Noisy(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.noise = rngs.noise.fork()
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        x = self.drop(x, rngs=rngs)
        return x + jax.random.normal(self.noise(), x.shape)


noisy = Noisy(rngs=nnx.Rngs(params=0, noise=1, dropout=2))
y: jax.Array = noisy(jnp.ones(3), rngs=nnx.Rngs(dropout=2))
nnx.reseed(noisy, noise=3, dropout=jax.random.key(4))
count: jax.Array = noisy.noise.count.value
with nnx.split_rngs(nnx.Rngs(0), splits=4) as backups:
    nnx.restore_rngs(backups)
for name, stream in nnx.Rngs(0, noise=1).items():
    key: jax.Array = stream()
    print(name.upper(), stream.key)
noisy(jnp.ones(3), rngs=0)  # mistake
nnx.reseed(noisy, noise="3")  # mistake
noisy.noise.fork("a")  # mistake
noisy.noise().nosuch  # mistake
nnx.Rngs(noise=None, dropout=[1])  # mistake
