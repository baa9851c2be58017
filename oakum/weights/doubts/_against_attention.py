"""Attention and activations beside the config: of neither do weights tell enough.

Heads, windows, scales and caps may be others with the same shapes; so may activations,
which are seen where a module holds them as attributes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import jax

from ..._graph import modules_of
from ...nn._activations import gelu, quick_gelu
from ...nn.attention._attention import MultiHeadAttention
from ...nn.linear._linear_general import LinearGeneral
from .._report import Line

_WIDTHS = ("hidden_size", "n_embd")
_HEADS = ("num_attention_heads", "n_head")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads")
_ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function")
_TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate")
_EXACT = ("gelu", "gelu_python")
# Of each function the names that transformers has for it.
_NAMES = (
    (jax.nn.silu, ("silu", "swish")),
    (jax.nn.relu, ("relu",)),
    (quick_gelu, ("quick_gelu",)),
)
_KNOWN = {name for _, names in _NAMES for name in names} | {*_TANH, *_EXACT}


def against_attention(model: Any, config: dict) -> Iterator[Line]:
    """Lines on layers that attend or activate otherwise than the config says."""
    width, heads = _first(config, _WIDTHS), _first(config, _HEADS)
    modules = [(".".join(map(str, path)), module) for path, module in modules_of(model)]
    if isinstance(width, int) and isinstance(heads, int) and heads > 0:
        attentions = [
            (path, module)
            for path, module in modules
            if isinstance(module, MultiHeadAttention) and module.in_features == width
        ]
        for path, layer in attentions:
            yield from _differing(path, layer, config, heads)
        yield from _windows(attentions, config)
        depth = config.get("head_dim") or width // heads
        counts = {heads, _first(config, _KV_HEADS) or heads}
        yield from _splits(modules, width, depth, counts)
    yield from _activations(modules, config)


def _first(config: dict, names: tuple[str, ...]) -> Any:
    return next((config[n] for n in names if config.get(n) is not None), None)


def _differing(
    path: str, layer: MultiHeadAttention, config: dict, heads: int
) -> Iterator[Line]:
    """What is one number on both sides."""
    scalar = config.get("query_pre_attn_scalar")
    scale = scalar**-0.5 if scalar else config.get("attention_multiplier")
    pairs: list[tuple[str, Any, Any]] = [
        ("num_heads", layer.num_heads, heads),
        ("num_kv_heads", layer.num_kv_heads, _first(config, _KV_HEADS)),
        ("head_dim", layer.head_dim, config.get("head_dim")),
        ("scale", layer.scale or layer.head_dim**-0.5, scale),
        ("softcap", layer.softcap or 0.0, config.get("attn_logit_softcapping")),
    ]
    for name, ours, theirs in pairs:
        if theirs is not None and not math.isclose(ours, theirs, rel_tol=1e-5):
            text = f"has {name}={ours:.6g}, and the config says {theirs:.6g}"
            yield Line("", path, text)


def _windows(
    attentions: list[tuple[str, MultiHeadAttention]], config: dict
) -> Iterator[Line]:
    window = config.get("sliding_window")
    kinds = config.get("layer_types")
    unused = config.get("use_sliding_window") is False
    if unused or (kinds is not None and "sliding_attention" not in kinds):
        window = None
    longest = config.get("max_position_embeddings")
    if window is not None and longest is not None and window >= longest:
        return
    some = any(layer.window == window for _, layer in attentions)
    for path, layer in attentions:
        if layer.window not in ((None, window) if some else (window,)):
            text = f"has window={layer.window}, and the config sliding_window={window}"
            yield Line("", path, text)


def _splits(
    modules: list[tuple[str, Any]], width: int, depth: int, counts: set[int]
) -> Iterator[Line]:
    """Queries, keys or values that are cut into other heads of as many elements."""
    for path, layer in modules:
        if not isinstance(layer, LinearGeneral) or layer.in_features != (width,):
            continue
        shape = layer.out_features
        other = len(shape) == 2 and shape[1] != depth
        if other and math.prod(shape) in {count * depth for count in counts}:
            text = f"gives {shape[0]} heads of {shape[1]}, and the config has {depth}"
            yield Line("", path, f"{text} for a head")


def _activations(modules: list[tuple[str, Any]], config: dict) -> Iterator[Line]:
    """Functions of which none is the config's."""
    wanted = _first(config, _ACTIVATIONS)
    found = [
        (path, key, names)
        for path, module in modules
        for key, value in vars(module).items()
        if (names := _names_of(value))
    ]
    if wanted not in _KNOWN or any(wanted in names for _, _, names in found):
        return
    for path, key, names in found:
        text = f"is what configs call {names[0]!r}, and this one says {wanted!r}"
        yield Line("", f"{path}.{key}".lstrip("."), text)


def _names_of(value: Any) -> tuple[str, ...]:
    """What configs call a function; nothing for any other."""
    options: dict[str, Any] = {}
    if isinstance(value, functools.partial) and not value.args:
        value, options = value.func, value.keywords
    if value is gelu or value is jax.nn.gelu:
        return _TANH if options.get("approximate", True) else _EXACT
    return next((names for function, names in _NAMES if value is function), ())
