"""What layers take."""

import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)
nnx.Linear(3, 4, use_bias=False, dtype=jnp.bfloat16, rngs=rngs)
nnx.Conv(3, 4, kernel_size=(3, 3), padding="SAME", rngs=rngs)
nnx.Embed(10, 4, rngs=rngs)
nnx.LayerNorm(4, epsilon=1e-5, rngs=rngs)
nnx.Dropout(0.5, rngs=rngs)
nnx.MultiHeadAttention(num_heads=2, in_features=4, rngs=rngs)
nnx.Linear(3, "4", rngs=rngs)  # mistake
nnx.Linear(3, rngs=rngs)  # mistake
nnx.Linear(3, 4, bias=False, rngs=rngs)  # mistake
nnx.Linear(3, 4, rngs=0)  # mistake
nnx.Conv(3, 4, rngs=rngs)  # mistake
nnx.Conv(3, 4, (3, 3), stride=2, rngs=rngs)  # mistake
nnx.Embed(10, rngs=rngs)  # mistake
nnx.Dropout("0.5", rngs=rngs)  # mistake
nnx.LayerNorm(4, eps=1e-5, rngs=rngs)  # mistake
