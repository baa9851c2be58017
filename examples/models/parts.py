"""What several of these models have in common: small functions, to read once."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

import oakum as nnx

Model = TypeVar("Model", bound=nnx.Module)
LOCAL = "sliding_attention"  # the kind of a layer that looks at a window
_exact_gelu = functools.partial(nnx.gelu, approximate=False)  # PyTorch's is exact
# By the names that configs have for them; `nnx.gelu` is the tanh form.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": _exact_gelu,
    "gelu_python": _exact_gelu,
    **dict.fromkeys(
        ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh"), nnx.gelu
    ),
    "quick_gelu": nnx.quick_gelu,
    "silu": nnx.silu,
    "swish": nnx.silu,
    "relu": nnx.relu,
    "relu2": lambda x: nnx.relu(x) ** 2,
    "tanh": nnx.tanh,
}


def from_folder(make: Callable[..., Model], folder: str, **options: Any) -> Model:
    """The model of a folder from Hugging Face, with its weights."""
    config = json.loads(Path(folder, "config.json").read_text())
    kind, known = config.get("model_type"), make.families
    if kind not in known:
        # Other families have the same names and shapes, and compute something else.
        raise ValueError(f"{folder}: model_type is {kind!r}, none of {known}")
    model = nnx.eval_shape(lambda: make(config, **options, rngs=nnx.Rngs(0)))
    nnx.weights.load(model, folder)
    return model


def expect(config: dict, **known: Any) -> None:
    """Refuses a config that asks for what a model does not do.

    The weights would fit, and the answers be wrong. `known` has the one value that the
    model goes by, which is also that of a config without it; None is as good.
    """
    for name, value in known.items():
        if config.get(name) not in (None, value):
            raise ValueError(
                f"The config has {name}={config[name]!r}, and this model computes "
                f"{name}={value!r} only"
            )


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The function that a config calls so."""
    if name not in ACTIVATIONS:
        raise ValueError(f"The activation {name!r} is none of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def layer_kinds(config: dict) -> list[str]:
    """Of each layer whether it looks back on all positions, or on a window of them."""
    layers = config["num_hidden_layers"]
    kinds = config.get("layer_types")
    family = config.get("model_type")
    if kinds is None and family == "gemma3_text":
        every = config.get("sliding_window_pattern", 6)
        numbers = range(1, layers + 1)
        kinds = [LOCAL if number % every else "full_attention" for number in numbers]
    if kinds is None:
        uses = config.get("use_sliding_window", family == "mistral")
        # Qwen3-MoE has the number in its configs, and windows in all layers.
        first = 0 if family == "qwen3_moe" else config.get("max_window_layers") or 0
        some = range(first if uses else layers, layers)
        kinds = ["full_attention" if i not in some else LOCAL for i in range(layers)]
    if unknown := set(kinds) - {"full_attention", LOCAL}:
        raise ValueError(f"The config has layers of the kind {min(unknown)!r}")
    return kinds


def windows(config: dict) -> list[int | None]:
    """How many positions each layer looks back on; None is all."""
    size = config.get("sliding_window")
    return [size if kind == LOCAL else None for kind in layer_kinds(config)]


def layer_norm(width: int, epsilon: float, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """A LayerNorm as exact as PyTorch's where the mean is large."""
    return nnx.LayerNorm(width, epsilon=epsilon, use_fast_variance=False, rngs=rngs)


def hidden_norm(config: dict, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """One over the hidden states of BERT and its kind."""
    return layer_norm(config["hidden_size"], config["layer_norm_eps"], rngs)


def rope(config: dict, kind: str = "full_attention", theta: float = 1e4) -> nnx.RoPE:
    """What turns queries and keys of a kind of layer; `theta` if none is given."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    values = given.get(kind, given)
    if kind == LOCAL and "rope_local_base_freq" in config:  # an older config
        values = {"rope_theta": config["rope_local_base_freq"]}
    theta = values.get("rope_theta") or config.get("rope_theta") or theta
    if values.get("rope_type") != "proportional":
        expect(values, partial_rotary_factor=1.0)
    longest = config.get("max_position_embeddings")
    return nnx.RoPE(theta, scaling={"max_position_embeddings": longest, **values})


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


def attend(
    query, key, value, mask, cache: Any, window: int | None = None, **options: Any
) -> jax.Array:
    """Attention to what came before: in the cache, or else in the sequence itself."""
    if cache is not None:
        key, value, seen = cache.extend(key, value)
        mask = seen if mask is None else seen & mask
        window = None  # the cache has it, and `seen` tells
    return nnx.dot_product_attention(
        query, key, value, mask=mask, window=window, is_causal=cache is None, **options
    )


def make_caches(blocks: Any, batch: int, length: int) -> list[nnx.KVCache]:
    """A cache for each block, which looks back as far as its attention does."""
    return [_cache(block.attention, batch, length) for block in blocks]


def _cache(layer: Any, batch: int, length: int) -> nnx.KVCache:
    window = getattr(layer, "window", None)
    return nnx.KVCache(batch, length, *layer.key.out_features, window=window)
