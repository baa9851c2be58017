"""Sequential."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)
model = nnx.Sequential(
    nnx.Linear(2, 4, rngs=rngs), nnx.relu, nnx.Dropout(0.5, rngs=rngs)
)
y: jax.Array = model(jnp.ones(2))
nnx.Sequential(3)  # mistake
model.add(nnx.Linear(4, 4, rngs=rngs))  # mistake
model.layer  # mistake
