"""The arithmetic of attention, on arrays alone.

`dot_product_attention` has two ways to the same numbers. Where nothing has to be seen
or dropped on the way, `jax.nn.dot_product_attention` does it all, so that JAX may use a
fused kernel. Else the weights are computed first (`attention_weights`), recorded or
dropped in part, and then used to average the values (`weighted_sum`).

There may be fewer heads of keys and values than of queries: then each group of
neighbouring query heads shares one of them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Intermediate, Module
from ..._typing import Dtype
from ...errors import ArgumentValueError, MissingRngError, ShapeError
from .._compute import accumulated
from .._dtypes import PromoteDtype, promote_dtype
from .._params import broadcasts


@partial(jax.jit, static_argnums=(4, 5, 6, 8, 9))
def attention_weights(
    query: jax.Array,
    key: jax.Array,
    bias: jax.Array | None,
    mask: jax.Array | None,
    is_causal: bool,
    precision: Any,
    preferred: Any,
    sinks: jax.Array | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> jax.Array:
    """How much each query takes of each key: `(batch..., heads, queries, keys)`."""
    dtype, kv_heads = query.dtype, key.shape[-2]
    *batch, heads, depth = query.shape
    if scale is None:
        query = query / jnp.sqrt(depth).astype(dtype)
    else:
        query = query * jnp.asarray(scale, dtype)
    grouped = query.reshape(*batch, kv_heads, heads // kv_heads, depth)
    product = partial(jnp.einsum, "...qhgd,...khd->...hgqk", precision=precision)
    logits = accumulated(product, grouped, key, preferred)
    logits = logits.reshape(*logits.shape[:-4], heads, *logits.shape[-2:])
    if softcap is not None:
        cap = jnp.asarray(softcap, logits.dtype)
        logits = cap * jnp.tanh(logits / cap)
    if bias is not None:
        # The bias may be wider than the logits, as a learned one in float32 is.
        with jax.numpy_dtype_promotion("standard"):
            logits = logits + _with_rank(bias, logits.ndim)
    if is_causal:
        causal = jnp.tril(jnp.ones(logits.shape[-2:], bool))
        causal = _with_rank(causal, logits.ndim)
        mask = causal if mask is None else _with_rank(mask, logits.ndim) & causal
    if mask is not None:
        # Finite, so that a query that may look nowhere averages, and gives no NaN.
        lowest = jnp.asarray(jnp.finfo(dtype).min, logits.dtype)
        logits = jnp.where(_with_rank(mask, logits.ndim), logits, lowest)
    if sinks is not None:
        # A key more, without a value: what it takes of the weight is lost.
        sink = sinks.astype(logits.dtype).reshape(heads, 1, 1)
        sink = jnp.broadcast_to(sink, (*logits.shape[:-1], 1))
        logits = jnp.concatenate([logits, sink], -1)
        return jax.nn.softmax(logits)[..., :-1].astype(dtype)
    return jax.nn.softmax(logits).astype(dtype)


@partial(jax.jit, static_argnums=(2, 3))
def weighted_sum(
    weights: jax.Array, value: jax.Array, precision: Any, preferred: Any
) -> jax.Array:
    """The average of the values by `weights`: `(batch..., queries, heads, depth)`."""
    *batch, heads, queries, keys = weights.shape
    kv_heads = value.shape[-2]
    grouped = weights.reshape(*batch, kv_heads, heads // kv_heads, queries, keys)
    product = partial(jnp.einsum, "...hgqk,...khd->...qhgd", precision=precision)
    out = accumulated(product, grouped, value, preferred)
    return out.reshape(*batch, queries, heads, value.shape[-1]).astype(value.dtype)


@partial(jax.jit, static_argnums=(2, 3))
def drop_weights(
    weights: jax.Array, rng: jax.Array, rate: float, broadcast: bool
) -> jax.Array:
    """Keeps each weight with probability `1 - rate`, scaled by its inverse.

    Args:
        weights: `(batch..., heads, queries, keys)`.
        rng: a key.
        rate: probability that a weight is set to zero.
        broadcast: whether batch and heads share one draw.
    """
    keep, shape = 1.0 - rate, weights.shape
    if broadcast:
        shape = (1,) * (weights.ndim - 2) + shape[-2:]
    kept = jax.random.bernoulli(rng, keep, shape).astype(weights.dtype)
    return weights * (kept / jnp.asarray(keep, weights.dtype))


@partial(jax.jit, static_argnums=(5, 6))
def fused_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None,
    mask: jax.Array | None,
    is_causal: bool,
    scale: float | None = None,
) -> jax.Array:
    """All in one, by `jax.nn.dot_product_attention`."""
    shape, batch = query.shape, query.shape[:-3]

    def as_4d(x: Any) -> Any:
        """`(batch, ., ., .)`: JAX takes no other number of axes."""
        if x is None:
            return None
        x = _with_rank(x, len(batch) + 3)
        lead = x.shape[:-3]
        if math.prod(lead) != 1:
            lead = batch
            x = jnp.broadcast_to(x, (*batch, *x.shape[-3:]))
        return x.reshape(math.prod(lead), *x.shape[-3:])

    arrays = [as_4d(x) for x in (query, key, value, bias, mask)]
    with jax.numpy_dtype_promotion("standard"):  # for a wider bias, as above
        out: Any = jax.nn.dot_product_attention(
            *arrays, is_causal=is_causal, scale=scale
        )
    return out.reshape(shape)


def dot_product_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: jax.Array | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: Any = None,
    module: Module | None = None,
    promote_dtype: PromoteDtype = promote_dtype,
    is_causal: bool = False,
    preferred_element_type: Dtype | None = None,
    *,
    scale: float | None = None,
    softcap: float | None = None,
    window: int | None = None,
    sinks: jax.Array | None = None,
) -> jax.Array:
    """Averages values by how well their keys match each query.

    `softmax(query @ key.T / sqrt(depth) + bias) @ value`, for each head.

    Vaswani et al.: Attention Is All You Need, https://arxiv.org/abs/1706.03762, 2017.
    Fewer heads of keys than of queries: Ainslie et al.: GQA,
    https://arxiv.org/abs/2305.13245, 2023. Soft caps: Gemma Team: Gemma 2,
    https://arxiv.org/abs/2408.00118, 2024. Sinks: Xiao et al.: Efficient Streaming
    Language Models with Attention Sinks, https://arxiv.org/abs/2309.17453, 2023.

    Args:
        query: `(batch..., queries, heads, depth)`.
        key: `(batch..., keys, kv_heads, depth)`; `kv_heads` divides `heads`.
        value: `(batch..., keys, kv_heads, value_depth)`.
        bias: added to the logits; broadcastable to `(batch..., heads, queries, keys)`.
        mask: nonzero or True where a query may look; broadcastable likewise.
        broadcast_dropout: whether batch and heads share one draw of dropout.
        dropout_rng: the key for dropout.
        dropout_rate: probability that a weight is set to zero.
        deterministic: whether to leave dropout out.
        dtype: dtype of the computation; None infers it from the arrays.
        precision: precision of the products, as `jax.numpy.einsum` takes it.
        module: records the weights as its Intermediate `attention_weights`.
        promote_dtype: casts `(query, key, value)`.
        is_causal: whether a query may look at no later key, besides `mask`.
        preferred_element_type: dtype in which products accumulate and the softmax is
            taken; None takes that of the computation.
        scale: what the logits are multiplied with; None is `1 / sqrt(depth)`.
        softcap: bounds the logits smoothly, to `softcap * tanh(logits / softcap)`.
        window: how many positions a query may look at, itself the last of them.
        sinks: `(heads,)`, the logit of a key without a value, to which a query may
            give weight that goes nowhere.

    Returns:
        An array of shape `(batch..., queries, heads, value_depth)`.

    Raises:
        ShapeError: the shapes do not fit together.
        ArgumentValueError: `dropout_rate` is outside of 0 to 1, or `window` is given
            for keys that are not those of the queries' positions.
        MissingRngError: there is to be dropout, without `dropout_rng`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.ones((2, 5, 4, 3))  # (batch, seq, heads, depth)
        >>> nnx.dot_product_attention(x, x, x, is_causal=True).shape
        (2, 5, 4, 3)
    """
    query, key, value = promote_dtype((query, key, value), dtype=dtype)
    logits = check_shapes(query, key, value)
    bias = _check_broadcasts("bias", bias, logits)
    mask = _check_broadcasts("mask", mask, logits)
    mask = None if mask is None else mask.astype(bool)
    if window is not None:
        mask = _within(window, mask, logits)
    check_rate(dropout_rate)
    rate = 0.0 if deterministic else float(dropout_rate)
    preferred = preferred_element_type
    same = preferred is None or preferred == query.dtype
    plain = same and module is None and softcap is None and sinks is None
    fusable = plain and _is_fusable(query, key, value, precision)
    if rate == 0.0 and fusable:
        return fused_attention(query, key, value, bias, mask, bool(is_causal), scale)
    weights = attention_weights(
        query,
        key,
        bias,
        mask,
        bool(is_causal),
        precision,
        preferred,
        _check_sinks(sinks, logits),
        scale,
        softcap,
    )
    weights = recorded(weights, module, rate, dropout_rng, broadcast_dropout)
    return weighted_sum(weights, value, precision, preferred)


def dot_product_attention_weights(
    query: jax.Array,
    key: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: jax.Array | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: Any = None,
    module: Module | None = None,
    promote_dtype: PromoteDtype = promote_dtype,
    is_causal: bool = False,
) -> jax.Array:
    """How much each query takes of each key, as `dot_product_attention` weighs them.

    Args:
        query: `(batch..., queries, heads, depth)`.
        key: `(batch..., keys, kv_heads, depth)`.
        bias, mask, broadcast_dropout, dropout_rng, dropout_rate, deterministic, dtype,
            precision, module, is_causal: as for `dot_product_attention`.
        promote_dtype: casts `(query, key)`.

    Returns:
        An array of shape `(batch..., heads, queries, keys)`.
    """
    query, key = promote_dtype((query, key), dtype=dtype)
    logits = check_shapes(query, key, key)
    bias = _check_broadcasts("bias", bias, logits)
    mask = _check_broadcasts("mask", mask, logits)
    mask = None if mask is None else mask.astype(bool)
    check_rate(dropout_rate)
    rate = 0.0 if deterministic else float(dropout_rate)
    weights = attention_weights(
        query, key, bias, mask, bool(is_causal), precision, None
    )
    return recorded(weights, module, rate, dropout_rng, broadcast_dropout)


def recorded(
    weights: jax.Array,
    module: Module | None,
    rate: float,
    dropout_rng: jax.Array | None,
    broadcast: bool,
) -> jax.Array:
    """The weights after dropout; `module` records them as they were before.

    Raises:
        MissingRngError: there is to be dropout, without `dropout_rng`.
    """
    if module is not None:
        module.sow(Intermediate, "attention_weights", weights)
    if rate == 1.0:  # 0 / 0 would give NaN
        return jnp.zeros_like(weights)
    if not rate:
        return weights
    if dropout_rng is None:
        raise MissingRngError(
            f"dot_product_attention with dropout_rate={rate} has no dropout_rng to "
            "draw from",
            remedy="pass dropout_rng=rngs.dropout(), or deterministic=True.",
        )
    return drop_weights(weights, dropout_rng, rate, bool(broadcast))


def _within(window: int, mask: jax.Array | None, logits: tuple[int, ...]) -> jax.Array:
    """A mask in which a query looks at a window alone, besides `mask`."""
    queries, keys = logits[-2:]
    if queries != keys or window < 1:
        raise ArgumentValueError(
            f"window={window} for {queries} queries and {keys} keys",
            remedy="give a window of 1 or more, and for keys of a cache the mask that "
            "nnx.KVCache(..., window=window).extend returns.",
        )
    rows = jnp.arange(keys)[:, None]
    near = (rows - jnp.arange(keys)[None] < window) & jnp.tril(
        jnp.ones((keys, keys), bool)
    )
    near = _with_rank(near, len(logits))
    return near if mask is None else near & _with_rank(mask, len(logits))


def _check_sinks(sinks: Any, logits: tuple[int, ...]) -> jax.Array | None:
    if sinks is None:
        return None
    sinks = jnp.asarray(sinks)
    if sinks.shape != logits[-3:-2]:
        raise ShapeError(
            f"sinks has shape {sinks.shape}, and there are {logits[-3]} heads",
            remedy="give one logit for each head of the queries.",
        )
    return sinks


def check_shapes(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[int, ...]:
    """The shape of the logits; raises a ShapeError if the three do not fit together."""
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"

    def error(fault: str, remedy: str) -> ShapeError:
        return ShapeError(f"{fault}: {shapes}", remedy=remedy)

    if not query.ndim == key.ndim == value.ndim >= 3:
        raise error(
            "Attention takes three arrays of one rank, 3 or more",
            "give each the shape (batch..., seq, heads, depth).",
        )
    batch = query.shape[:-3]
    if not batch == key.shape[:-3] == value.shape[:-3]:
        raise error(
            "Query, key and value differ in their batch axes",
            "give all three the same, all axes but the last three.",
        )
    if query.shape[-1] != key.shape[-1]:
        raise error(
            f"Query and key differ in depth, {query.shape[-1]} and {key.shape[-1]}",
            "project both to the same last axis.",
        )
    if key.shape[-3] != value.shape[-3]:
        raise error(
            f"There are {key.shape[-3]} keys for {value.shape[-3]} values",
            "take both from the same sequence: axis -3 is its length.",
        )
    heads = query.shape[-2]
    for name, kv_heads in (("key", key.shape[-2]), ("value", value.shape[-2])):
        if not kv_heads or heads % kv_heads:
            raise error(
                f"{heads} query heads cannot share {kv_heads} {name} heads",
                f"give {name} a number of heads that divides {heads}, at axis -2.",
            )
    return (*batch, heads, query.shape[-3], key.shape[-3])


def check_rate(rate: float, where: str = "") -> None:
    """Raises an ArgumentValueError unless `rate` is a probability."""
    if not 0 <= rate <= 1:
        raise ArgumentValueError(
            f"dropout_rate={rate} is no probability",
            where=where,
            remedy="pass a rate from 0 (keep all) to 1 (drop all).",
        )


def _check_broadcasts(name: str, x: Any, shape: tuple[int, ...]) -> jax.Array | None:
    if x is None:
        return None
    x = jnp.asarray(x)
    while x.ndim > len(shape) and x.shape[0] == 1:
        x = x[0]
    if not broadcasts(x.shape, shape):
        raise ShapeError(
            f"{name} of shape {x.shape} does not broadcast to the weights, of shape "
            f"{shape}: (batch..., heads, queries, keys)",
            remedy=f"give {name} that shape, with size 1 for an axis along which it "
            "does not vary.",
        )
    return x


def _is_fusable(query: Any, key: Any, value: Any, precision: Any) -> bool:
    if key.shape != value.shape or not jnp.issubdtype(query.dtype, jnp.floating):
        return False
    # It takes no precision here, and products of half precision have but one.
    if query.dtype.itemsize >= 4:
        return precision is None
    # JAX asks for products of float16 in a way that only GPUs can take, and cannot
    # lower the gradient of those of half precision without promoting dtypes.
    if query.dtype == jnp.float16 and jax.default_backend() != "gpu":
        return False
    return getattr(jax.config, "jax_numpy_dtype_promotion", "") != "strict"


def _with_rank(x: jax.Array, ndim: int) -> jax.Array:
    return x.reshape((1,) * (ndim - x.ndim) + x.shape)
