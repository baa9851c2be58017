"""The steps of MultiHeadAttention besides its arithmetic: checks, cache and dropout.

Each function takes the layer first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..._objects import module_path
from ..._rngs import Rngs, RngStream
from ...errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError
from .._params import size_error
from ._masks import combine_masks


def check_divides(layer: Any, divisor: str, number: str) -> None:
    """Raises an ArgumentValueError unless one attribute divides another."""
    by, whole = getattr(layer, divisor), getattr(layer, number)
    if by < 1 or whole % by:
        raise ArgumentValueError(
            f"{divisor}={by} of a MultiHeadAttention does not divide {number}={whole}",
            remedy=f"choose a {number} that is a multiple of {divisor}.",
        )


def check_inputs(
    layer: Any, inputs_q: Any, inputs_k: Any, inputs_v: Any
) -> tuple[Any, Any]:
    """The inputs of keys and values, where they are None those that stand for them.

    Raises:
        ArgumentError: there is an input for the values, and none for the keys.
        ShapeError: one has another width than the layer was made for.
    """
    if inputs_k is None:
        if inputs_v is not None:
            raise ArgumentError(
                "MultiHeadAttention got inputs_v without inputs_k",
                where=module_path(layer),
                remedy="pass layer(q, kv), which takes kv for both, or layer(q, k, v).",
            )
        inputs_k = inputs_q
    inputs_v = inputs_k if inputs_v is None else inputs_v
    _check_width(layer, inputs_q, "in_features")
    _check_width(layer, inputs_k, "in_kv_features")
    same = getattr(layer, "in_v_features", None) in (None, layer.in_kv_features)
    _check_width(layer, inputs_v, "in_kv_features" if same else "in_v_features")
    return inputs_k, inputs_v


def _check_width(layer: Any, inputs: Any, argument: str) -> None:
    expected, got = getattr(layer, argument), inputs.shape[-1:]
    if inputs.ndim < 2 and got in ((), (expected,)):
        raise ShapeError(
            f"MultiHeadAttention expects an axis of the sequence and one of "
            f"{argument}={expected}, but the input has shape {inputs.shape}",
            where=module_path(layer),
            remedy=f"pass an input of shape (*batch, seq, {expected}).",
        )
    if got != (expected,):
        raise size_error(
            layer,
            inputs,
            axis=-1,
            expected=expected,
            got=got[0] if got else None,
            argument=argument,
        )


def draw_dropout(
    layer: Any, deterministic: bool | None, rngs: Rngs | RngStream | jax.Array | None
) -> tuple[bool, jax.Array | None]:
    """Whether to leave dropout out, and else a key for it.

    Raises:
        ArgumentValueError: `deterministic` is given nowhere.
        MissingRngError: there is nothing to draw from.
    """
    if layer.dropout_rate == 0:
        return True, None
    deterministic = layer.deterministic if deterministic is None else deterministic
    if deterministic is None:
        raise ArgumentValueError(
            "MultiHeadAttention does not know whether to drop: deterministic is None",
            where=module_path(layer),
            remedy="call model.train() or model.eval(), or pass deterministic=True or "
            "False to the call or the constructor.",
        )
    if deterministic:
        return True, None
    rngs = layer.rngs if rngs is None else rngs
    if rngs is None:
        raise MissingRngError(
            f"MultiHeadAttention with dropout_rate={layer.dropout_rate} has no rngs to "
            "draw from",
            where=module_path(layer),
            remedy="build it with rngs=rngs and keep_rngs=True, pass rngs= to the "
            "call, or call model.eval().",
        )
    if isinstance(rngs, Rngs):
        rngs = rngs["dropout"]
    return False, rngs if isinstance(rngs, jax.Array) else rngs()


def extend_cache(
    layer: Any, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array | None, dict[str, Any]]:
    """Adds one position to the cache.

    Args:
        layer: the MultiHeadAttention.
        key: `(batch..., 1, num_kv_heads, head_dim)`.
        value: of the same shape.
        mask: the user's mask, over the whole cache.

    Returns:
        Keys and values of the whole cache, a mask that hides what is still empty, and
        further arguments for the attention function.

    Raises:
        ArgumentValueError: there is no cache.
        ShapeError: key or mask do not fit it.
    """
    keys, values, count = layer.cached_key, layer.cached_value, layer.cache_index
    if keys is None or values is None or count is None:
        raise ArgumentValueError(
            "MultiHeadAttention has no cache to decode with",
            where=module_path(layer),
            remedy="call layer.init_cache((batch, max_length, features)) first, or "
            "pass decode=False.",
        )
    *batch, max_length, heads, depth = keys.shape
    expected = (*batch, 1, heads, depth)
    if key.shape != expected:
        raise ShapeError(
            f"Decoding takes one position for a cache of shape {keys.shape}: expected "
            f"keys of shape {expected}, got {key.shape}",
            where=module_path(layer),
            remedy=f"pass inputs of shape {(*batch, 1, layer.in_features)}, or call "
            f"layer.init_cache({(*key.shape[:-3], max_length, layer.in_features)}).",
        )
    index = count.value
    # The mask below sees to both.
    options: dict[str, Any] = {"is_causal": False, "window": None}
    if _takes_positions(layer.attention_fn):
        options["input_positions"] = index[None]
    zero = jnp.zeros((), index.dtype)
    start = (*[zero] * len(batch), index, zero, zero)
    for cache, new in ((keys, key), (values, value)):
        old = cache.value
        cache.value = lax.dynamic_update_slice(old, new.astype(old.dtype), start)
    count.value = index + jnp.ones((), index.dtype)
    slots = jnp.arange(max_length, dtype=index.dtype)
    seen = slots <= index
    window = getattr(layer, "window", None)
    if window is not None:
        seen &= slots > index - window
    seen = jnp.broadcast_to(seen, (*batch, 1, 1, max_length))
    mask = combine_masks(mask, seen)
    return keys.value.astype(key.dtype), values.value.astype(value.dtype), mask, options


def attention_options(layer: Any, is_causal: bool) -> dict[str, Any]:
    """Arguments for the attention function; None where it is to have none."""
    preferred = getattr(layer, "preferred_element_type", None)
    if preferred is not None and not takes(
        layer.attention_fn, "preferred_element_type"
    ):
        preferred = None
    return {
        "is_causal": is_causal,
        "preferred_element_type": preferred,
        # None for an object in the place of a layer, which has flax's attributes alone.
        "scale": getattr(layer, "scale", None),
        "softcap": getattr(layer, "softcap", None),
        "window": getattr(layer, "window", None),
    }


def next_positions(
    layer: Any, query: jax.Array, cache: Any, decode: bool | None
) -> jax.Array | None:
    """The positions of the queries that a cache implies; None without one."""
    if cache is not None:
        return cache.positions(query.shape[-3])
    count = layer.cache_index
    return count.value[None] if decode and count is not None else None


def use_cache(
    layer: Any,
    cache: Any,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    decode: bool | None,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Adds keys and values to a KVCache, and gives what to attend to.

    Raises:
        ArgumentValueError: the layer is to use its own cache too.
        ShapeError: key or value do not fit the cache.
    """
    if decode:
        raise ArgumentValueError(
            "MultiHeadAttention got cache= and decode=True, which uses a cache of its "
            "own",
            where=module_path(layer),
            remedy="pass one of them: layer(x, cache=cache), with decode=False.",
        )
    key, value, seen = cache.extend(key, value)
    return key, value, combine_masks(seen, mask)


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a user's function may be given an argument of that name."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return any_name or name in parameters


def attend(layer: Any, *arrays: jax.Array, **options: Any) -> jax.Array:
    """Calls the layer's attention function; its errors name the layer.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    try:
        return layer.attention_fn(*arrays, **options)
    except ShapeError as error:
        error.where = error.where or module_path(layer)
        raise


def _takes_positions(function: Callable[..., Any]) -> bool:
    """Whether an attention function wants to know the position of the query."""
    try:
        parameter = inspect.signature(function).parameters.get("input_positions")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.default is None
