"""Rngs and streams."""

import jax

import oakum as nnx

rngs = nnx.Rngs(0, dropout=jax.random.key(1))
key: jax.Array = rngs.params()
key = rngs["dropout"]()
noise: jax.Array = rngs.normal((2, 3))
noise = rngs.dropout.uniform((2, 3))
forked: nnx.Rngs = rngs.fork(split=3)
stream: nnx.RngStream = rngs.params
nnx.Rngs({"params": 0, "dropout": 1})
nnx.Rngs("0")  # mistake
nnx.Rngs(params="0")  # mistake
key.nosuch  # mistake
rngs.fork(splits=3)  # mistake
text: str = rngs.params()  # mistake
noise.nosuch  # mistake
