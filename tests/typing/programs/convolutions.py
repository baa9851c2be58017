"""Convolutions, pools, embeddings: arguments, options and results."""

import jax
import jax.numpy as jnp

import oakum as nnx

rngs = nnx.Rngs(0)
conv = nnx.Conv(3, 8, kernel_size=(3, 3), strides=2, padding="VALID", rngs=rngs)
deep = nnx.Conv(
    8, 8, (3, 3), feature_group_count=8, padding=((1, 1), (1, 1)), rngs=rngs
)
up = nnx.ConvTranspose(8, 3, kernel_size=(2, 2), strides=(2, 2), rngs=rngs)
x: jax.Array = up(deep(conv(jnp.ones((1, 16, 16, 3)))))
x = nnx.max_pool(x, (2, 2), strides=(2, 2))
x = nnx.avg_pool(x, (2, 2), padding="SAME", count_include_pad=False)
embed = nnx.Embed(10, 4, rngs=rngs)
x = embed(jnp.array([1, 2]))
x = embed.attend(x)
x = nnx.Einsum("ab,bc->ac", (2, 3), (3,), rngs=rngs)(jnp.ones((4, 2)))
x = nnx.LinearGeneral((2, 3), (4, 5), axis=(-2, -1), rngs=rngs)(jnp.ones((1, 2, 3)))
half = nnx.Linear(2, 3, dtype=jnp.bfloat16, param_dtype="float32", rngs=rngs)
kernel: jax.Array = conv.kernel.value
nnx.Conv(3, 8, kernel_size="3", rngs=rngs)  # mistake
nnx.Conv(3, 8, kernel_size=(3, 3), stride=2, rngs=rngs)  # mistake
nnx.Conv(3, 8, rngs=rngs)  # mistake
nnx.max_pool(x)  # mistake
nnx.Embed(10)  # mistake
embed.attends(x)  # mistake
embed("word")  # mistake
nnx.Einsum(3, (2, 3), rngs=rngs)  # mistake
nnx.LinearGeneral("2", 3, rngs=rngs)  # mistake
conv.kernel.value.kernel  # mistake
