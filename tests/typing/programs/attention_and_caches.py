"""Attention, masks, rotary embeddings and caches."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Block(nnx.Module):
    def __init__(self, heads: int, width: int, *, rngs: nnx.Rngs) -> None:
        self.norm = nnx.RMSNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            heads, width, decode=False, dropout_rate=0.1, rngs=rngs
        )

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        return x + self.attention(self.norm(x), mask=mask, deterministic=True)


block, tokens = Block(2, 8, rngs=nnx.Rngs(0)), jnp.ones((1, 5), int)
x = jnp.ones((1, 5, 8))
mask = nnx.combine_masks(nnx.make_causal_mask(tokens), None)
y: jax.Array = block(x, mask)
block.attention.init_cache((1, 5, 8))
heads = x.reshape(1, 5, 2, 4)
z: jax.Array = nnx.dot_product_attention(heads, heads, heads, is_causal=True)
cache = nnx.KVCache(1, 16, 2, 4)
keys, values, seen = cache.extend(heads, heads)
length: jax.Array = cache.positions(5)
Block(2, 8)  # mistake
block(x, True)  # mistake
block.attention(x, maskk=None)  # mistake
nnx.dot_product_attention(heads, heads)  # mistake
cache.extend(heads)  # mistake
cache.nosuch  # mistake
nnx.MultiHeadAttention("2", 8, rngs=nnx.Rngs(0))  # mistake
