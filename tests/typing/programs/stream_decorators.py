"""split_rngs and fork_rngs keep the signature."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.split_rngs(splits=3)
@nnx.vmap(in_axes=(0, None))
def drawn(rngs: nnx.Rngs, x: jax.Array) -> jax.Array:
    return x + rngs.params.normal((2,))


rngs = nnx.Rngs(0)
y: jax.Array = drawn(rngs, jnp.ones(2))
with nnx.split_rngs(rngs, splits=3):
    pass
backups = nnx.split_rngs(rngs, splits=3)
nnx.restore_rngs(backups)
drawn(rngs)  # mistake
drawn(jnp.ones(2), rngs)  # mistake
drawn(rngs, jnp.ones(2)).nosuch  # mistake
nnx.split_rngs(rngs, split=3)  # mistake
