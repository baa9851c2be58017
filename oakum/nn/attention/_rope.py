"""RoPE: positions as rotations of queries and keys."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import Module, Variable, module_path
from ...errors import ArgumentValueError, ShapeError
from .._dtypes import canonicalize_dtype
from .._params import plain
from .._sharding_notes import sharding_explained
from ._dot_product_attention import dot_product_attention
from ._rope_scaling import (
    Scaling,
    amplitude,
    as_scaling,
    frequencies,
    settled,
    uses_length,
)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def sine_and_cosine(
    positions: jax.Array, size: int, theta: float, scaling: Scaling = ()
) -> tuple[jax.Array, jax.Array]:
    """Of the angle of each position and each pair of features: `(..., seq, size / 2)`.

    In float32, as half precision tells no more than 256 positions apart.
    """
    length = jnp.max(positions) + 1 if uses_length(scaling) else None
    speeds = frequencies(size, theta, scaling, length)
    speeds = speeds.reshape((1,) * positions.ndim + speeds.shape)
    angles = positions.astype(jnp.float32)[..., None] * speeds
    scale = amplitude(scaling)
    sine, cosine = jnp.sin(angles), jnp.cos(angles)
    return (sine, cosine) if scale == 1 else (sine * scale, cosine * scale)


@functools.partial(jax.jit, static_argnums=3)
def rotate(
    x: jax.Array, sine: jax.Array, cosine: jax.Array, neighbours: bool = False
) -> jax.Array:
    """Rotates each pair of features by its angle.

    A pair is `(x[i], x[i + size / 2])`, or with `neighbours` `(x[2 i], x[2 i + 1])`.

    Args:
        x: `(..., seq, features)`; what comes after the first `size` stays.
        sine: `(..., seq, size / 2)`, with as many axes as `x` or fewer.
        cosine: of the same shape.
        neighbours: which pairs.
    """
    wide = canonicalize_dtype(x, sine)
    lead = (1,) * (x.ndim - sine.ndim)
    sine, cosine = (y.reshape(lead + y.shape).astype(wide) for y in (sine, cosine))
    size = 2 * sine.shape[-1]
    turned = x[..., :size].astype(wide)
    if neighbours:
        first, second = turned[..., ::2], turned[..., 1::2]
    else:
        first, second = jnp.split(turned, 2, axis=-1)
    rotated = (first * cosine - second * sine, second * cosine + first * sine)
    if neighbours:
        out = jnp.stack(rotated, axis=-1).reshape(turned.shape)
    else:
        out = jnp.concatenate(rotated, axis=-1)
    out = out.astype(canonicalize_dtype(x))
    return out if size == x.shape[-1] else jnp.concatenate([out, x[..., size:]], -1)


class RoPE(Module):
    """Rotates each pair of features by an angle that grows with the position.

    The product of a rotated query with a rotated key depends on how far apart they
    stand, and not on where.

    Su, Lu, Pan, Murtadha, Wen, Liu: RoFormer: Enhanced Transformer with Rotary Position
    Embedding, https://arxiv.org/abs/2104.09864, 2021. A feature is paired with the one
    half the size further on, where the paper pairs neighbours; a permutation of the
    features, which the projections before learn.

    Attributes: `cached_sin` and `cached_cos`, each a Variable of shape
    `(max_seq_len, embedding_size / 2)` or None.

    Args:
        theta: the slowest pair turns by nearly `1 / theta` from one position to the
            next, the fastest by 1. None takes the `rope_theta` of `scaling`, or 10000.
        embedding_size: number of features, even; with `max_seq_len`, sines and cosines
            are computed once, else in each call.
        max_seq_len: for how many positions.
        scaling: how to stretch RoPE to more positions, as a config says under
            `rope_parameters`: its `rope_type`, which is 'linear', 'dynamic', 'yarn',
            'longrope', 'llama3' or 'proportional', and the numbers of that type.
        fraction: how many of the features turn, the first ones; the others stay. None
            takes the `partial_rotary_factor` of `scaling`, or 1.
        neighbours: whether to pair neighbours, as the paper and GPT-J do.

    Raises:
        ArgumentValueError: one of `embedding_size` and `max_seq_len` is given alone, or
            `embedding_size` is odd; or `scaling` is not known, lacks a number, or has
            another theta or fraction.

    Example:
        >>> import functools
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rotated = functools.partial(
        ...     nnx.dot_product_attention_with_rope, rope=nnx.RoPE()
        ... )
        >>> layer = nnx.MultiHeadAttention(
        ...     2, 8, attention_fn=rotated, rngs=nnx.Rngs(0)
        ... )
        >>> layer(jnp.ones((1, 5, 8)), is_causal=True).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        theta: float | None = None,
        embedding_size: int | None = None,
        max_seq_len: int | None = None,
        *,
        scaling: Mapping[str, Any] | None = None,
        fraction: float | None = None,
        neighbours: bool = False,
    ):
        if (embedding_size is None) != (max_seq_len is None):
            raise ArgumentValueError(
                f"RoPE got embedding_size={embedding_size} and max_seq_len="
                f"{max_seq_len}",
                remedy="give both, to compute sines and cosines once, or neither.",
            )
        self.embedding_size = plain(embedding_size)
        self.max_seq_len = plain(max_seq_len)
        self.scaling = as_scaling(scaling)
        self.theta, self.fraction = settled(plain(theta), plain(fraction), self.scaling)
        self.neighbours = neighbours
        self.cached_sin = self.cached_cos = None
        if embedding_size is not None and max_seq_len is not None:
            if uses_length(self.scaling):
                raise ArgumentValueError(
                    f"RoPE with {dict(self.scaling)['rope_type']!r} scaling turns by "
                    "angles that depend on the length of the input",
                    remedy="leave out embedding_size and max_seq_len, so that each "
                    "call computes them.",
                )
            if embedding_size < 2 or embedding_size % 2:
                raise ArgumentValueError(
                    f"embedding_size={embedding_size} of a RoPE cannot be split into "
                    "pairs",
                    remedy="give an even number: that of the features of one head.",
                )
            sine, cosine = self._angles(jnp.arange(max_seq_len), self.embedding_size)
            self.cached_sin, self.cached_cos = Variable(sine), Variable(cosine)

    def __call__(
        self, x: jax.Array, input_positions: jax.Array | None = None
    ) -> jax.Array:
        """Rotates the input.

        Args:
            x: `(..., seq, embedding_size)`.
            input_positions: `(..., seq)`, whose leading axes broadcast to those of `x`;
                0, 1, 2 and so on by default.

        Returns:
            An array of the shape and dtype of `x`.

        Raises:
            ShapeError: `x` is of another size, too long, or at odds with the positions.
        """
        if x.ndim < 2 or x.shape[-1] % 2 or not x.shape[-1]:
            raise self._error(x, "expects (..., seq, an even number of features)")
        if self.embedding_size not in (None, x.shape[-1]):
            raise self._error(x, f"has embedding_size={self.embedding_size}")
        seq = x.shape[-2]
        if input_positions is not None:
            positions = jnp.asarray(input_positions)
            _check_positions(self, x, positions)
            sine, cosine = self._angles(positions, x.shape[-1])
        elif self.cached_sin is None or self.cached_cos is None:
            sine, cosine = self._angles(jnp.arange(seq), x.shape[-1])
        elif seq > self.cached_sin.shape[0]:
            raise self._error(x, f"has max_seq_len={self.cached_sin.shape[0]}")
        else:
            sine, cosine = self.cached_sin.value[:seq], self.cached_cos.value[:seq]
        with sharding_explained(self):
            return rotate(x, sine, cosine, self.neighbours)

    def _angles(self, positions: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        turned = size if self.fraction == 1 else int(size * self.fraction)
        return sine_and_cosine(positions, turned, self.theta, self.scaling)

    def _error(self, x: jax.Array, what: str) -> ShapeError:
        return ShapeError(
            f"RoPE {what}, but the input has shape {x.shape}",
            where=module_path(self),
            remedy="pass an input that fits, or build it with "
            f"nnx.RoPE(embedding_size={x.shape[-1] if x.ndim else 2}, "
            f"max_seq_len={x.shape[-2] if x.ndim > 1 else 1}).",
        )


def _check_positions(rope: RoPE, x: jax.Array, positions: jax.Array) -> None:
    pairs = zip(positions.shape[::-1], x.shape[-2::-1], strict=False)
    fits = positions.shape[-1:] == x.shape[-2:-1] and positions.ndim < x.ndim
    if not fits or any(got not in (1, size) for got, size in pairs):
        raise ShapeError(
            f"input_positions of shape {positions.shape} do not fit an input of shape "
            f"{x.shape}: expected {x.shape[:-1]}, or what broadcasts to it",
            where=module_path(rope),
            remedy=f"pass one position for each of the {x.shape[-2]} in the sequence, "
            "the last axis but one of the input; where heads stand there, rotate "
            "x.swapaxes(-2, -3) and swap back.",
        )


def dot_product_attention_with_rope(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    rope: RoPE,
    input_positions: jax.Array | None = None,
    **kwargs: Any,
) -> jax.Array:
    """`dot_product_attention` of rotated queries and keys.

    Args:
        query: `(batch..., queries, heads, depth)`.
        key: `(batch..., keys, kv_heads, depth)`.
        value: `(batch..., keys, kv_heads, value_depth)`.
        rope: rotates them.
        input_positions: `(queries,)` or `(batch..., queries)`, of the queries, and of
            the keys where there are as many; else keys count from 0, as they do in the
            cache of a layer that decodes. 0, 1, 2 and so on by default.
        **kwargs: as for `dot_product_attention`.

    Returns:
        An array of shape `(batch..., queries, heads, value_depth)`.

    Raises:
        ShapeError: the shapes do not fit together.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.ones((2, 5, 4, 6))  # (batch, seq, heads, depth)
        >>> nnx.dot_product_attention_with_rope(x, x, x, rope=nnx.RoPE()).shape
        (2, 5, 4, 6)
    """
    query, key = jnp.asarray(query), jnp.asarray(key)
    query, key = rotate_both(rope, query, key, input_positions)
    return dot_product_attention(query, key, value, **kwargs)


def rotate_both(
    rope: RoPE, query: jax.Array, key: jax.Array, positions: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Queries and keys, rotated; arguments as `dot_product_attention_with_rope`."""
    if positions is not None:
        positions = jnp.asarray(positions)[..., None, :]  # (batch..., 1, queries)
    as_many = key.shape[-3:-2] == query.shape[-3:-2]
    return (
        _rotate_heads(rope, query, positions),
        _rotate_heads(rope, key, positions if as_many else None),
    )


def _rotate_heads(rope: RoPE, x: jax.Array, positions: jax.Array | None) -> jax.Array:
    x = jnp.swapaxes(x, -2, -3)  # (batch..., heads, seq, depth)
    return jnp.swapaxes(rope(x, positions), -2, -3)
