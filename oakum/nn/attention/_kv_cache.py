"""KVCache: the keys and values of the positions so far, for decoding token by token.

A step of decoding computes query, key and value of the new positions alone, adds key
and value to the cache, and attends to what is in it:

    query, key, value = ...  # of the new positions
    keys, values, mask = cache.extend(key, value)
    out = nnx.dot_product_attention(query, keys, values, mask=mask)

How many positions there are is itself state, so one compiled step serves all of them;
and the step overwrites the arrays of the cache, so `jit` reuses their memory.

A full cache has a slot for each position. A ring has as many as the window that a query
looks back on, and each position takes the slot of the one that left the window.

The slots are the last axis of what is stored, though not of what comes out: XLA then
multiplies with the cache as it lies. With the slots in front of the heads it writes a
transposed copy in each step; 2.7 times the time, at 4,096 slots on two CPU cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from ..._objects import Cache, Module, module_path
from ..._typing import Dtype, Shape
from ...errors import ArgumentValueError, ShapeError
from .._params import plain


class KVCache(Module):
    """Keeps keys and values of attention, to decode token by token.

    Vaswani et al.: Attention Is All You Need, https://arxiv.org/abs/1706.03762, 2017,
    for the decoder; the ring: Jiang et al.: Mistral 7B,
    https://arxiv.org/abs/2310.06825, 2023, section 2.

    Attributes: `keys` and `values`, each a Cache of shape
    `(batch..., num_heads, head_dim, max_length)`; `index`, a Cache that holds the
    number of positions so far, an `int32` scalar, or of shape `(batch...)`.

    Args:
        batch: size of the batch, or sizes of several batch axes.
        max_length: number of slots.
        num_heads: number of heads of keys and values, which may serve groups of query
            heads.
        head_dim: size of a head.
        ring: whether to overwrite the oldest position when all slots are taken; a query
            then looks at `max_length` positions, itself the last of them.
        window: how many positions a query looks at in a cache that keeps them all,
            itself the last of them; None is all of them.
        dtype: dtype of the slots; what comes out has that of what went in.
        per_row: whether each row of the batch counts its own positions. A row begins
            anew with `cache.index[row] = 0`, while the others go on.

    Raises:
        ArgumentValueError: a size is less than 1.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> cache = nnx.KVCache(2, 8, num_heads=1, head_dim=4)
        >>> x = jnp.ones((2, 3, 1, 4))  # (batch, seq, heads, head_dim)
        >>> keys, values, mask = cache.extend(x, x)
        >>> nnx.dot_product_attention(x, keys, values, mask=mask).shape
        (2, 3, 1, 4)
        >>> int(cache.index.value), mask.shape
        (3, (1, 1, 3, 8))
    """

    def __init__(
        self,
        batch: int | Shape,
        max_length: int,
        num_heads: int,
        head_dim: int,
        *,
        ring: bool = False,
        window: int | None = None,
        dtype: Dtype = jnp.float32,
        per_row: bool = False,
    ):
        batch = (batch,) if isinstance(batch, int) else tuple(batch)
        shape = plain((*batch, num_heads, head_dim, max_length))
        if min(shape) < 1:
            raise ArgumentValueError(
                f"KVCache with batch={batch}, max_length={max_length}, num_heads="
                f"{num_heads}, head_dim={head_dim} has no room",
                remedy="give each size as 1 or more.",
            )
        self.max_length = plain(max_length)
        self.ring = ring
        self.window = plain(window)
        self.keys = Cache(jnp.zeros(shape, dtype))
        self.values = Cache(jnp.zeros(shape, dtype))
        self.per_row = per_row
        counted = plain(batch) if per_row else ()
        self.index = Cache(jnp.zeros(counted, jnp.int32))

    def positions(self, seq: int = 1) -> jax.Array:
        """The positions of the next `seq` tokens, such as RoPE asks for.

        Args:
            seq: how many tokens.

        Returns:
            An array `(seq,)`, or `(batch..., seq)` where each row counts its own.
        """
        return self.index.value[..., None] + self._count(seq)

    def extend(
        self, key: jax.Array, value: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Adds positions: many at once for a prompt, or one.

        Args:
            key: `(batch..., seq, num_heads, head_dim)`.
            value: of the same shape.

        Returns:
            Keys and values to attend to, of shape `(batch..., slots, num_heads,
            head_dim)`, and a mask that is True where a query may look, of shape
            `(1..., 1, seq, slots)`, or where each row counts its own positions
            `(batch..., 1, seq, slots)`. There are `max_length` slots; where many
            positions enter a ring, the new ones follow after it.

        Raises:
            ShapeError: key or value do not fit the cache.
            ArgumentValueError: it is full. A compiled function cannot raise: there, all
                that is computed from an overfull cache is NaN until its `reset`.
        """
        seq = self._check(key, value)
        queries = self.positions(seq)
        if self.ring and seq > 1:
            return self._extend_ring(key, value, queries)
        start = self.index.value
        if self.ring:
            start = start % self.max_length
        else:
            key, value = (self._nan_if_full(x, seq) for x in (key, value))
        write = self._for_each_row(_written)
        if isinstance(start, Tracer) and not self.per_row:
            write = _written_in_place
        for cache, new in ((self.keys, key), (self.values, value)):
            new = _slots_last(new).astype(cache.value.dtype)
            cache.value = write(cache.value, new, start)
        self.index.value += seq
        keys = _slots_first(self.keys.value).astype(key.dtype)
        values = _slots_first(self.values.value).astype(value.dtype)
        return keys, values, self._mask(queries, self._slots())

    def reset(self) -> None:
        """Empties the cache."""
        for cache in (self.keys, self.values, self.index):
            cache.value = jnp.zeros_like(cache.value)

    def _extend_ring(
        self, key: jax.Array, value: jax.Array, queries: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """As `extend`, for many positions.

        The first of them look at positions whose slots the last ones take, so all
        attend to what was there before, and to the new ones.
        """
        slots = jnp.concatenate([self._slots(), queries], -1)
        kept = queries[..., -self.max_length :]
        together = []
        for cache, new in ((self.keys, key), (self.values, value)):
            old, new = cache.value, _slots_last(new)
            both = jnp.concatenate([old.astype(new.dtype), new], axis=-1)
            together.append(_slots_first(both))
            last = new[..., -kept.shape[-1] :].astype(old.dtype)
            slot = kept % self.max_length
            cache.value = self._for_each_row(_scattered)(old, last, slot)
        self.index.value += queries.shape[-1]
        return together[0], together[1], self._mask(queries, slots)

    def _slots(self) -> jax.Array:
        """The position that each slot holds, negative where it is empty.

        An array `(slots,)`, or `(batch..., slots)`.
        """
        slots = self._count(self.max_length)
        last = self.index.value[..., None] - 1
        newest = last - (last - slots) % self.max_length if self.ring else slots
        return jnp.where(newest <= last, newest, -1)

    def _count(self, size: int) -> jax.Array:
        """0, 1, 2 and so on, of the rank of what each row has of them."""
        lead = (1,) * self.index.value.ndim
        return jnp.arange(size, dtype=jnp.int32).reshape(*lead, size)

    def _mask(self, queries: jax.Array, slots: jax.Array) -> jax.Array:
        """Which query may look at which slot, from the positions of both."""
        rows, columns = queries[..., :, None], slots[..., None, :]
        mask = (columns >= 0) & (columns <= rows)
        if self.ring:
            mask &= columns > rows - self.max_length
        if self.window is not None:
            mask &= columns > rows - self.window
        if self.per_row:
            return mask[..., None, :, :]  # (batch..., 1, seq, slots)
        lead = self.keys.value.ndim - 2
        return mask.reshape((1,) * lead + mask.shape)  # (1..., 1, seq, slots)

    def _for_each_row(self, write: Callable[..., Any]) -> Callable[..., Any]:
        """`write(old, new, index)`, for rows that each have an index of their own."""
        for _ in range(self.index.value.ndim):
            write = jax.vmap(write)
        return write

    def _nan_if_full(self, new: jax.Array, seq: int) -> jax.Array:
        index = self.index.value
        if not isinstance(index, Tracer) and int(index.max()) + seq > self.max_length:
            raise self._full(int(index.max()), seq)
        # Of the new positions alone, so that the cache is not walked.
        fits = (index <= self.max_length - seq)[..., None, None, None]
        fits = fits.reshape((1,) * (new.ndim - fits.ndim) + fits.shape)
        return jnp.where(fits, new, jnp.asarray(math.nan, new.dtype))

    def _full(self, index: int, seq: int) -> ArgumentValueError:
        return ArgumentValueError(
            f"KVCache has max_length={self.max_length}, {index} of them taken, and no "
            f"room for {seq} more",
            where=module_path(self),
            remedy="make a longer one, call cache.reset(), or build it with ring=True "
            "to let go of the oldest positions.",
        )

    def _check(self, key: jax.Array, value: jax.Array) -> int:
        """The number of new positions, of which there must be one at least."""
        *batch, heads, depth, _ = self.keys.value.shape
        seq = key.shape[-3] if key.ndim >= 3 else 0
        expected = (*batch, max(seq, 1), heads, depth)
        if not key.shape == value.shape == expected:
            raise ShapeError(
                f"KVCache expects keys and values of shape {expected}, got {key.shape} "
                f"and {value.shape}",
                where=module_path(self),
                remedy="pass (batch..., seq, num_heads, head_dim), or build it with "
                f"KVCache({tuple(key.shape[:-3])}, {self.max_length}, "
                f"{', '.join(map(str, key.shape[-2:]))}).",
            )
        if seq > self.max_length and not self.ring:
            raise self._full(0, seq)
        return seq


def _written(old: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    starts = (*[jnp.zeros((), start.dtype)] * (old.ndim - 1), start)
    return lax.dynamic_update_slice(old, new, starts)


def _written_once(old: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    """`_written`, under a condition that always holds, which XLA does not know.

    Where the batch is 1, XLA for CPU else writes the position twice, for the cache and
    for attention, and copies all slots four times to do so: a step with 2,048 slots of
    8 heads of 64 took 3.1 ms on one core, and takes 0.45.
    """
    return lax.cond(start >= 0, _written, lambda old, new, start: old, old, new, start)


def _written_in_place(old: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    # A GPU would wait for the condition.
    return lax.platform_dependent(old, new, start, cpu=_written_once, default=_written)


def _scattered(old: jax.Array, new: jax.Array, slots: jax.Array) -> jax.Array:
    return old.at[..., slots].set(new, unique_indices=True)


def _slots_last(x: jax.Array) -> jax.Array:
    return jnp.moveaxis(x, -3, -1)  # (batch..., num_heads, head_dim, slots)


def _slots_first(x: jax.Array) -> jax.Array:
    return jnp.moveaxis(x, -1, -3)  # (batch..., slots, num_heads, head_dim)
