"""What layers return."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)
x = jnp.ones((2, 4))
y: jax.Array = nnx.Linear(4, 3, rngs=rngs)(x)
y = nnx.BatchNorm(4, rngs=rngs)(x, use_running_average=True)
y = nnx.LayerNorm(4, rngs=rngs)(x)
y = nnx.Embed(4, 3, rngs=rngs)(jnp.zeros(3, int))
y = nnx.relu(x) + nnx.gelu(x)
y = nnx.max_pool(jnp.ones((1, 4, 4, 1)), (2, 2))
size: int = nnx.Linear(4, 3, rngs=rngs)(x)  # mistake
nnx.Linear(4, 3, rngs=rngs)("x")  # mistake
nnx.Linear(4, 3, rngs=rngs)(x).nosuch  # mistake
nnx.Linear(4, 3, rngs=rngs)()  # mistake
