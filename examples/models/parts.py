"""What several of these models have in common: small functions, to read once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

import oakum as nnx

Model = TypeVar("Model", bound=nnx.Module)


def from_folder(make: Callable[..., Model], folder: str, **options: Any) -> Model:
    """The model of a folder from Hugging Face, with its weights."""
    config = json.loads(Path(folder, "config.json").read_text())
    model = nnx.eval_shape(lambda: make(config, **options, rngs=nnx.Rngs(0)))
    nnx.weights.load(model, folder)
    return model


def layer_norm(width: int, epsilon: float, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A LayerNorm as exact as PyTorch's where the mean is large."""
    return nnx.LayerNorm(width, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


def hidden_norm(config: dict, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """One over the hidden states of BERT and its kind."""
    return layer_norm(config["hidden_size"], config["layer_norm_eps"], rngs)


def next_positions(tokens: jax.Array, caches: Any) -> jax.Array:
    """Where the tokens stand: behind what the caches hold, or from 0 on."""
    length = tokens.shape[1]
    if isinstance(caches, nnx.Repeat):  # of blocks that are stacked
        return caches.layers.positions(length)[0]
    return jnp.arange(length) if caches is None else caches[0].positions(length)


def turned(rope: nnx.RoPE, heads: jax.Array, positions: jax.Array) -> jax.Array:
    """Heads `(batch, seq, heads, depth)`, turned by their positions."""
    by_head = heads.swapaxes(1, 2)  # (batch, heads, seq, depth)
    return rope(by_head, positions[..., None, :]).swapaxes(1, 2)


def attend(query, key, value, mask, cache: Any, **options: Any) -> jax.Array:
    """Attention to what came before: in the cache, or else in the sequence itself."""
    if cache is not None:
        key, value, seen = cache.extend(key, value)
        mask = seen if mask is None else seen & mask
    return nnx.dot_product_attention(
        query, key, value, mask=mask, is_causal=cache is None, **options
    )


def make_caches(blocks: Any, batch: int, length: int) -> list[nnx.KVCache]:
    """A cache for each block."""
    shapes = [block.attention.key.out_features for block in blocks]
    return [nnx.KVCache(batch, length, *shape) for shape in shapes]
