"""Masks for attention: which query may look at which key.

A mask is broadcastable to `(batch..., heads, queries, keys)`, and nonzero or True where
the query may look. `combine_masks` joins several.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ..._typing import Dtype
from ...errors import ArgumentValueError, ShapeError


def make_attention_mask(
    query_input: jax.Array,
    key_input: jax.Array,
    pairwise_fn: Callable[[jax.Array, jax.Array], jax.Array] = jnp.multiply,
    extra_batch_dims: int = 0,
    dtype: Dtype = jnp.float32,
) -> jax.Array:
    """Makes a mask from what is known of each query and of each key.

    Args:
        query_input: `(batch..., queries)`, such as 1 for a token and 0 for padding.
        key_input: `(batch..., keys)`.
        pairwise_fn: compares `(batch..., queries, 1)` with `(batch..., 1, keys)`.
        extra_batch_dims: number of axes of size 1 to put in front.
        dtype: dtype of the mask.

    Returns:
        A mask of shape `(batch..., 1, queries, keys)`; the 1 stands for the heads.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> tokens = jnp.array([7, 3, 0])
        >>> nnx.make_attention_mask(tokens > 0, tokens > 0, dtype=bool).astype(int)
        Array([[[1, 1, 0],
                [1, 1, 0],
                [0, 0, 0]]], dtype=int32)
    """
    rows = jnp.expand_dims(query_input, -1)  # (batch..., queries, 1)
    columns = jnp.expand_dims(key_input, -2)  # (batch..., 1, keys)
    mask = jnp.expand_dims(pairwise_fn(rows, columns), -3)
    return jnp.expand_dims(mask, tuple(range(extra_batch_dims))).astype(dtype)


def make_causal_mask(
    x: jax.Array, extra_batch_dims: int = 0, dtype: Dtype = jnp.float32
) -> jax.Array:
    """Makes the mask in which a position looks at itself and at those before it.

    Args:
        x: `(batch..., seq)`; only its shape counts.
        extra_batch_dims: number of axes of size 1 to put in front.
        dtype: dtype of the mask.

    Returns:
        A mask of shape `(batch..., 1, seq, seq)`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.make_causal_mask(jnp.ones(3), dtype=bool).astype(int)
        Array([[[1, 0, 0],
                [1, 1, 0],
                [1, 1, 1]]], dtype=int32)
    """
    positions = _positions(x)
    return make_attention_mask(
        positions, positions, jnp.greater_equal, extra_batch_dims, dtype
    )


def make_sliding_window_mask(
    x: jax.Array,
    window_size: int | tuple[int, int],
    extra_batch_dims: int = 0,
    dtype: Dtype = jnp.float32,
) -> jax.Array:
    """Makes the mask in which a position looks at a window of its neighbours.

    Beltagy, Peters, Cohan: Longformer: The Long-Document Transformer,
    https://arxiv.org/abs/2004.05150, 2020.

    Args:
        x: `(batch..., seq)`; only its shape counts.
        window_size: how many positions the window holds, the last of them the position
            itself; or a pair of how many it holds before the position and after it.
        extra_batch_dims: number of axes of size 1 to put in front.
        dtype: dtype of the mask.

    Returns:
        A mask of shape `(batch..., 1, seq, seq)`.

    Raises:
        ArgumentValueError: the window is empty, or one of the pair is negative.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.make_sliding_window_mask(jnp.ones(4), 2, dtype=bool).astype(int)
        Array([[[1, 0, 0, 0],
                [1, 1, 0, 0],
                [0, 1, 1, 0],
                [0, 0, 1, 1]]], dtype=int32)
    """
    before, after = (
        window_size if isinstance(window_size, tuple | list) else (window_size - 1, 0)
    )
    if before < 0 or after < 0:
        raise ArgumentValueError(
            f"window_size={window_size} leaves a position nothing to look at",
            remedy="pass how many positions to look at, 1 or more, or a pair of how "
            "many before and after, 0 or more.",
        )

    def near(query: jax.Array, key: jax.Array) -> jax.Array:
        return (key >= query - before) & (key <= query + after)

    positions = _positions(x)
    return make_attention_mask(positions, positions, near, extra_batch_dims, dtype)


def combine_masks(
    *masks: jax.Array | None, dtype: Dtype = jnp.float32
) -> jax.Array | None:
    """Joins masks: a query looks where all of them allow it.

    Args:
        *masks: masks of one rank whose shapes broadcast; None is skipped.
        dtype: dtype of the mask.

    Returns:
        A mask, or None if none was given.

    Raises:
        ShapeError: the ranks differ, or the shapes do not broadcast.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.ones(2)
        >>> causal, padding = nnx.make_causal_mask(x), jnp.array([[[1, 0]]])
        >>> nnx.combine_masks(causal, None, padding, dtype=bool).astype(int)
        Array([[[1, 0],
                [1, 0]]], dtype=int32)
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    shapes = [mask.shape for mask in given]
    try:
        if len({len(shape) for shape in shapes}) > 1:
            raise ValueError
        jnp.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"Masks of shapes {', '.join(map(str, shapes))} cannot be combined",
            remedy="give all of them the same rank, with size 1 for an axis along "
            "which a mask does not vary: mask[:, None, None, :].",
        ) from None
    if len(given) == 1:
        return given[0].astype(dtype)
    joined = given[0].astype(bool)
    for mask in given[1:]:
        joined = jnp.logical_and(joined, mask.astype(bool))
    return joined.astype(dtype)


def _positions(x: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.arange(x.shape[-1], dtype=jnp.int32), x.shape)
