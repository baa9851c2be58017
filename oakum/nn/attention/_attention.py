"""MultiHeadAttention: queries, keys and values by projection, and their attention."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Cache, Module
from ..._rngs import Rngs, RngStream
from ..._typing import Dtype, Initializer, Shape
from .. import initializers
from .._dtypes import PromoteDtype, promote_dtype
from .._params import plain
from .._sharding_notes import sharding_explained
from ..linear._linear_general import LinearGeneral
from ..norm._layer_norm import LayerNorm
from ._dot_product_attention import check_rate, dot_product_attention
from ._kv_cache import KVCache
from ._rope import RoPE, rotate_both
from ._steps import (
    attend,
    attention_options,
    check_divides,
    check_inputs,
    draw_dropout,
    extend_cache,
    next_positions,
    use_cache,
)

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class MultiHeadAttention(Module):
    """Attention of several heads, with its projections, dropout and cache.

    Vaswani et al.: Attention Is All You Need, https://arxiv.org/abs/1706.03762, 2017.

    Attributes: `query`, `key`, `value` and `out`, each a LinearGeneral; `query_ln` and
    `key_ln`, each a norm or None; `rope`; `cached_key`, `cached_value` and
    `cache_index`, each a Cache or None, which `init_cache` makes.

    Args:
        num_heads: number of heads of the queries.
        in_features: size of the last axis of the queries' input.
        qkv_features: size of all heads together; `in_features` by default.
        out_features: size of the last axis of the output; `in_features` by default.
        num_kv_heads: number of heads of keys and values; each serves a group of query
            heads. `num_heads` by default.
        in_kv_features: size of the last axis of the keys' and values' input; likewise.
        dtype: dtype of the computation; None infers it from input and parameters.
        param_dtype: dtype of the parameters.
        broadcast_dropout: whether batch and heads share one draw.
        dropout_rate: probability that a weight is set to zero.
        deterministic: whether to leave dropout out; `model.eval()` sets it.
        precision: precision of the products, as `jax.lax.dot_general` takes it.
        kernel_init, bias_init: initializers of the projections.
        out_kernel_init, out_bias_init: those of `out`, where they differ.
        use_bias: whether the projections add a bias.
        attention_fn: what to call on queries, keys and values, in place of
            `dot_product_attention`; it gets the same keyword arguments.
        decode: whether each call adds one position to the cache, and attends to all
            of them so far; None means no.
        normalize_qk: whether to normalize queries and keys of each head, as ViT-22B
            does (Dehghani et al., https://arxiv.org/abs/2302.05442, 2023).
        qkv_promote_dtype, out_promote_dtype, ln_promote_dtype: cast the arguments of
            `query`, `key` and `value`, of `out`, and of the LayerNorms.
        qkv_dot_general, out_dot_general: functions to take the products with.
        qkv_dot_general_cls, out_dot_general_cls: classes that make such a function.
        rngs: gives the keys of the initializers and a stream for dropout.
        keep_rngs: whether to keep a fork of the `dropout` stream for the calls.
        kernel_metadata, bias_metadata: metadata of the projections' parameters.
        out_kernel_metadata, out_bias_metadata: those of `out`, where they differ.
        query_ln_scale_metadata, key_ln_scale_metadata: those of the LayerNorms.
        in_v_features: size of the last axis of the values' input; `in_kv_features` by
            default.
        qk_norm: makes the norms of queries and keys, such as `nnx.RMSNorm`, in place of
            LayerNorms: called as `qk_norm(head_dim, rngs=rngs)`.
        rope: rotates queries and keys, after their norms.
        scale, softcap, window: as for `dot_product_attention`.
        out_use_bias: whether `out` adds a bias; `use_bias` by default.

    Raises:
        ArgumentValueError: the heads do not divide the features, or `num_kv_heads` the
            heads; `dropout_rate` is no probability.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.MultiHeadAttention(4, 8, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 5, 8)), is_causal=True).shape  # (batch, seq, features)
        (2, 5, 8)

        With a cache, a call takes the new positions alone:

        >>> layer = nnx.MultiHeadAttention(
        ...     4, 8, qk_norm=nnx.RMSNorm, rope=nnx.RoPE(), rngs=nnx.Rngs(0)
        ... )
        >>> cache = nnx.KVCache(2, 16, layer.num_kv_heads, layer.head_dim)
        >>> layer(jnp.ones((2, 5, 8)), cache=cache).shape
        (2, 5, 8)
    """

    preferred_element_type: Dtype | None = None  # set by `set_dtypes`

    def __init__(
        self,
        num_heads: int,
        in_features: int,
        qkv_features: int | None = None,
        out_features: int | None = None,
        num_kv_heads: int | None = None,
        in_kv_features: int | None = None,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        broadcast_dropout: bool = True,
        dropout_rate: float = 0.0,
        deterministic: bool | None = None,
        precision: Any = None,
        kernel_init: Initializer = initializers.lecun_normal(),
        out_kernel_init: Initializer | None = None,
        bias_init: Initializer = initializers.zeros,
        out_bias_init: Initializer | None = None,
        use_bias: bool = True,
        attention_fn: Callable[..., jax.Array] = dot_product_attention,
        decode: bool | None = None,
        normalize_qk: bool = False,
        qkv_promote_dtype: PromoteDtype = promote_dtype,
        out_promote_dtype: PromoteDtype = promote_dtype,
        ln_promote_dtype: PromoteDtype = promote_dtype,
        qkv_dot_general: Callable[..., jax.Array] | None = None,
        out_dot_general: Callable[..., jax.Array] | None = None,
        qkv_dot_general_cls: Any = None,
        out_dot_general_cls: Any = None,
        rngs: Rngs | None = None,
        keep_rngs: bool = True,
        kernel_metadata: Mapping[str, Any] = _NOTHING,
        out_kernel_metadata: Mapping[str, Any] = _NOTHING,
        bias_metadata: Mapping[str, Any] = _NOTHING,
        out_bias_metadata: Mapping[str, Any] = _NOTHING,
        query_ln_scale_metadata: Mapping[str, Any] = _NOTHING,
        key_ln_scale_metadata: Mapping[str, Any] = _NOTHING,
        in_v_features: int | None = None,
        qk_norm: Callable[..., Any] | None = None,
        rope: RoPE | None = None,
        scale: float | None = None,
        softcap: float | None = None,
        window: int | None = None,
        out_use_bias: bool | None = None,
    ):
        def default(value: Any, otherwise: Any) -> Any:
            return plain(otherwise if value is None else value)

        self.num_heads = plain(num_heads)
        self.in_features = plain(in_features)
        self.qkv_features = default(qkv_features, in_features)
        self.out_features = default(out_features, in_features)
        self.in_kv_features = default(in_kv_features, in_features)
        self.in_v_features = default(in_v_features, self.in_kv_features)
        self.num_kv_heads = default(num_kv_heads, num_heads)
        check_divides(self, "num_kv_heads", "num_heads")
        check_divides(self, "num_heads", "qkv_features")
        check_rate(dropout_rate)
        self.head_dim = self.qkv_features // self.num_heads
        self.dtype, self.param_dtype = dtype, param_dtype
        self.broadcast_dropout = broadcast_dropout
        self.dropout_rate = plain(dropout_rate)
        self.deterministic = deterministic
        self.precision = precision
        self.use_bias, self.attention_fn = use_bias, attention_fn
        self.decode, self.normalize_qk = decode, normalize_qk
        self.rope, self.window = rope, plain(window)
        self.scale, self.softcap = plain(scale), plain(softcap)
        self.qkv_promote_dtype = qkv_promote_dtype
        self.out_promote_dtype = out_promote_dtype
        self.ln_promote_dtype = ln_promote_dtype
        self.qkv_dot_general, self.out_dot_general = qkv_dot_general, out_dot_general
        self.qkv_dot_general_cls = qkv_dot_general_cls
        self.out_dot_general_cls = out_dot_general_cls
        shared: Any = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        linear = functools.partial(LinearGeneral, precision=precision, **shared)
        project = functools.partial(
            linear,
            use_bias=use_bias,
            kernel_init=kernel_init,
            bias_init=bias_init,
            promote_dtype=qkv_promote_dtype,
            dot_general=qkv_dot_general,
            dot_general_cls=qkv_dot_general_cls,
            kernel_metadata=kernel_metadata,
            bias_metadata=bias_metadata,
        )
        kv_heads = (self.num_kv_heads, self.head_dim)
        self.query = project(self.in_features, (self.num_heads, self.head_dim))
        self.key = project(self.in_kv_features, kv_heads)
        self.value = project(self.in_v_features, kv_heads)
        self.query_ln = self.key_ln = None
        if qk_norm is not None:
            self.query_ln = qk_norm(self.head_dim, rngs=rngs)
            self.key_ln = qk_norm(self.head_dim, rngs=rngs)
        elif normalize_qk:
            normalize = functools.partial(
                LayerNorm, use_bias=False, promote_dtype=ln_promote_dtype, **shared
            )
            self.query_ln = normalize(
                self.head_dim, scale_metadata=query_ln_scale_metadata
            )
            self.key_ln = normalize(self.head_dim, scale_metadata=key_ln_scale_metadata)
        self.out = linear(
            (self.num_heads, self.head_dim),
            self.out_features,
            axis=(-2, -1),
            use_bias=use_bias if out_use_bias is None else out_use_bias,
            kernel_init=out_kernel_init or kernel_init,
            bias_init=out_bias_init or bias_init,
            promote_dtype=out_promote_dtype,
            dot_general=out_dot_general,
            dot_general_cls=out_dot_general_cls,
            kernel_metadata=out_kernel_metadata or kernel_metadata,
            bias_metadata=out_bias_metadata or bias_metadata,
        )
        self.rngs = None
        if keep_rngs and self.dropout_rate > 0 and rngs is not None:
            self.rngs = rngs["dropout"].fork()
        self.cached_key = self.cached_value = self.cache_index = None

    def __call__(
        self,
        inputs_q: jax.Array,
        inputs_k: jax.Array | None = None,
        inputs_v: jax.Array | None = None,
        *,
        mask: jax.Array | None = None,
        deterministic: bool | None = None,
        rngs: Rngs | RngStream | jax.Array | None = None,
        sow_weights: bool = False,
        decode: bool | None = None,
        is_causal: bool = False,
        out_sharding: Any = None,
        qkv_sharding: Any = None,
        cache: KVCache | None = None,
        positions: jax.Array | None = None,
        input_positions: jax.Array | None = None,
    ) -> jax.Array:
        """Attends from each position of `inputs_q` to those of `inputs_k`.

        Args:
            inputs_q: `(batch..., queries, in_features)`.
            inputs_k: `(batch..., keys, in_kv_features)`; `inputs_q` by default.
            inputs_v: `(batch..., keys, in_v_features)`; `inputs_k` by default.
            mask: nonzero or True where a query may look; broadcastable to `(batch...,
                num_heads, queries, keys)`, or in decoding the whole cache for keys.
            deterministic, decode: take precedence over those of the constructor.
            rngs: streams, a stream or a key; take precedence likewise.
            sow_weights: whether to record the Intermediate `attention_weights`.
            is_causal: whether a query may look at no later key, besides `mask`.
            out_sharding, qkv_sharding: shardings on a mesh with explicit axes.
            cache: takes up the keys and values, which are those of the next positions;
                a query looks at what the cache has, and at no later key. Its window is
                that of the cache.
            positions: `(queries,)` or `(batch..., queries)`, by which `rope` turns
                queries, and keys where there are as many; those that come next in the
                cache by default, and else 0, 1, 2 and so on.
            input_positions: the same; without `rope`, for an `attention_fn` that turns.

        Returns:
            An array of shape `(batch..., queries, out_features)`.

        Raises:
            ShapeError: an input, the mask or the cache does not fit.
            ArgumentError: `inputs_v` without `inputs_k`.
            ArgumentValueError: there is no cache, or `deterministic` is unknown.
            MissingRngError: there is nothing to draw dropout from.
        """
        keys, values = check_inputs(self, inputs_q, inputs_k, inputs_v)
        query = self.query(inputs_q, out_sharding=qkv_sharding)
        key = self.key(keys, out_sharding=qkv_sharding)
        value = self.value(values, out_sharding=qkv_sharding)
        if self.query_ln is not None and self.key_ln is not None:
            query, key = self.query_ln(query), self.key_ln(key)
        decode = self.decode if decode is None else decode
        rope = getattr(self, "rope", None)
        if rope is not None:
            if positions is None:
                positions = input_positions
            if positions is None:
                positions = next_positions(self, query, cache, decode)
            query, key = rotate_both(rope, query, key, positions)
        options = attention_options(self, is_causal)
        if cache is not None:
            key, value, mask = use_cache(self, cache, key, value, mask, decode)
            options |= {"is_causal": False, "window": None}
        elif decode:
            key, value, mask, changed = extend_cache(self, key, value, mask)
            options |= changed
        if input_positions is not None and rope is None:
            options["input_positions"] = input_positions
        options = {name: given for name, given in options.items() if given is not None}
        deterministic, dropout_rng = draw_dropout(self, deterministic, rngs)
        with sharding_explained(self, "qkv_sharding"):
            x = attend(
                self,
                query,
                key,
                value,
                mask=mask,
                dropout_rng=dropout_rng,
                dropout_rate=self.dropout_rate,
                broadcast_dropout=self.broadcast_dropout,
                deterministic=deterministic,
                dtype=self.dtype,
                precision=self.precision,
                module=self if sow_weights else None,
                **options,
            )  # (batch..., queries, num_heads, head_dim)
        return self.out(x, out_sharding=out_sharding)

    def init_cache(self, input_shape: Shape, dtype: Dtype = jnp.float32) -> None:
        """Makes an empty cache.

        Args:
            input_shape: `(batch..., max_length, features)`; there is room for
                `max_length` positions, and what comes after overwrites the last.
            dtype: dtype of the cache.
        """
        shape = (*input_shape[:-1], self.num_kv_heads, self.head_dim)
        self.cached_key = Cache(jnp.zeros(shape, dtype))
        self.cached_value = Cache(jnp.zeros(shape, dtype))
        self.cache_index = Cache(jnp.array(0, jnp.int32))

    def set_view(
        self,
        deterministic: bool | None = None,
        decode: bool | None = None,
        batch_size: int | Shape | None = None,
        max_length: int | None = None,
    ) -> None:
        """Sets `deterministic` and `decode`, where given.

        Args:
            deterministic: whether no weight is dropped; None leaves it.
            decode: whether keys and values go to the cache; None leaves it.
            batch_size: with `max_length`, makes a cache where there is none.
            max_length: how many positions that cache is for.
        """
        if deterministic is not None:
            self.deterministic = deterministic
        if decode is not None:
            self.decode = decode
        if not decode or batch_size is None or max_length is None:
            return
        if self.cached_key is None:
            batch = (batch_size,) if isinstance(batch_size, int) else batch_size
            self.init_cache((*batch, max_length, 0), self.dtype or jnp.float32)
