"""Layers that take more than one array."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)
x = jnp.ones((2, 5, 4))
attention = nnx.MultiHeadAttention(num_heads=2, in_features=4, decode=False, rngs=rngs)
y: jax.Array = attention(x, mask=nnx.make_causal_mask(jnp.ones((2, 5))))
cell = nnx.LSTMCell(4, 3, rngs=rngs)
rnn = nnx.RNN(cell)
rnn(x)
nnx.RNN(nnx.Linear(4, 3, rngs=rngs))  # mistake
attention.nosuch  # mistake
attention()  # mistake
attention(x, masks=None)  # mistake
nnx.LSTMCell(4, rngs=rngs)  # mistake
