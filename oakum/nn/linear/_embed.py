"""Embed: a table of vectors, looked up by integers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from ..._objects import Module
from ..._rngs import Rngs
from ..._typing import Dtype, Initializer
from ...errors import ArgumentValueError
from ...sharding import axes_of
from .. import initializers
from .._compute import Settings, compute
from .._dtypes import PromoteDtype, promote_dtype
from .._params import (
    as_array,
    check_kind,
    check_last_axis,
    param_maker,
    plain,
    value_of,
)


def look_up(
    using: Settings,
    embedding: jax.Array,
    indices: jax.Array,
    padding_idx: int | None = None,
) -> jax.Array:
    """The rows of `embedding` at `indices`; NaN where there is none."""
    rows = _rows(using, embedding, indices)
    if padding_idx is None:
        return rows
    count = embedding.shape[0]
    is_padding = (indices == padding_idx) | (indices == padding_idx - count)
    return jnp.where(is_padding[..., None], jax.lax.stop_gradient(rows), rows)


def _rows(using: Settings, embedding: jax.Array, indices: jax.Array) -> jax.Array:
    if embedding.shape[0] == 1:
        return jnp.broadcast_to(embedding[0], (*indices.shape, embedding.shape[1]))
    out_sharding = using.out_sharding
    if out_sharding is None:
        out_sharding = _of_rows(embedding, indices)
    if out_sharding is None:
        return jnp.take(embedding, indices, axis=0)
    # jnp.take has no out_sharding of its own.
    sharded = jax.sharding.auto_axes(out_sharding=out_sharding)
    return sharded(lambda table, i: jnp.take(table, i, axis=0))(embedding, indices)


def _of_rows(embedding: jax.Array, indices: jax.Array) -> NamedSharding | None:
    """Where the rows lie on explicit axes, which JAX does not work out: as the indices.

    None where JAX is to say what it makes of it: no axis is explicit, the rows are
    split over devices, or an axis of the mesh splits both indices and features.
    """
    given, table = jax.typeof(indices).sharding, jax.typeof(embedding).sharding
    spec = tuple(given.spec) + (None,) * (indices.ndim - len(given.spec))
    rows, features = (*table.spec, None, None)[:2]
    used = {axis for entry in spec for axis in axes_of(entry)}
    if rows is not None or not used or not used.isdisjoint(axes_of(features)):
        return None
    return NamedSharding(given.mesh, PartitionSpec(*spec, features))


def score(using: Settings, query: jax.Array, embedding: jax.Array) -> jax.Array:
    """The inner product of each query with each row of `embedding`."""
    return using.multiply(query, embedding.T)


class Embed(Module):
    """A table of vectors, looked up by integers.

    Attributes: `embedding`, a Param of shape `(num_embeddings, features)`.

    An integer below zero counts from the end; one that is out of range gives NaN. With
    a single row, every integer gives that row.

    Args:
        num_embeddings: number of rows.
        features: size of a row.
        dtype: dtype of the output; None takes that of the table.
        param_dtype: dtype of the table.
        embedding_init: initializer of the table.
        promote_dtype: casts `(embedding,)`, and `(query, embedding)` in `attend`.
        rngs: gives the key of the initializer, from its `params` stream.
        embedding_metadata: metadata of the table.
        padding_idx: a row that stands for padding: it starts as zeros, and gets no
            gradient from where it is looked up. Below zero it counts from the end.

    Raises:
        ArgumentValueError: there is no row `padding_idx`.
        MissingRngError: no `rngs` for an initializer that draws.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> layer = nnx.Embed(num_embeddings=5, features=3, rngs=nnx.Rngs(0))
        >>> layer(jnp.array([[0, 1], [2, -1]])).shape
        (2, 2, 3)
    """

    output_dtype: Dtype | None = None  # set by `set_dtypes`
    preferred_element_type: Dtype | None = None  # likewise
    precision: Any = None  # no choice of its own

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        # Variance 1 for each output, since one row is looked up at a time.
        embedding_init: Initializer = initializers.variance_scaling(
            1.0, "fan_in", "normal", out_axis=0
        ),
        promote_dtype: PromoteDtype = promote_dtype,
        rngs: Rngs | None = None,
        embedding_metadata: Mapping[str, Any] = MappingProxyType({}),
        padding_idx: int | None = None,
    ):
        self.padding_idx = _checked_row(plain(padding_idx), plain(num_embeddings))
        if self.padding_idx is not None:
            embedding_init = _with_zeros(embedding_init, self.padding_idx)
        make = param_maker(self, rngs, param_dtype)
        self.embedding = make(
            "embedding", embedding_init, (num_embeddings, features), embedding_metadata
        )
        self.num_embeddings = plain(num_embeddings)
        self.features = plain(features)
        self.dtype = dtype or self.embedding.value.dtype
        self.param_dtype = param_dtype
        self.promote_dtype = promote_dtype

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Looks rows up.

        Args:
            inputs: any shape, of an integer dtype.
            out_sharding: sharding of the output, for a mesh with explicit axes.

        Returns:
            An array of shape `(*inputs.shape, features)`.

        Raises:
            ArgumentValueError: `inputs` are not integers.
        """
        what = "Embed looks rows up by integers, but the input has"
        cast = "pass integers, as in layer(tokens.astype(jnp.int32))."
        padding_idx = getattr(self, "padding_idx", None)
        check_kind(self, inputs, jnp.integer, what, cast)
        return compute(
            look_up,
            self,
            value_of(self, "embedding"),
            others=(inputs,),
            options=() if padding_idx is None else (padding_idx,),
            out_sharding=out_sharding,
            inexact=False,
        )

    def attend(self, query: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Scores queries against every row, to share the table with an output layer.

        Press, Wolf: Using the Output Embedding to Improve Language Models,
        https://arxiv.org/abs/1608.05859, 2016.

        Args:
            query: `(..., features)`.
            out_sharding: as in a call.

        Returns:
            An array of shape `(..., num_embeddings)`.

        Raises:
            ShapeError: the query has not `features` at its last axis.
        """
        query = as_array(query)
        embedding = value_of(self, "embedding")
        check_last_axis(self, query, embedding.shape[-1], "features")
        return compute(
            score, self, query, embedding, product=jnp.dot, out_sharding=out_sharding
        )


def _checked_row(row: int | None, count: int) -> int | None:
    """The row counted from the front."""
    if row is None or -count <= row < count:
        return row if row is None else row % count
    raise ArgumentValueError(
        f"Embed has no row padding_idx={row}, but num_embeddings={count}",
        remedy=f"give one from {-count} to {count - 1}, or None.",
    )


def _with_zeros(initializer: Initializer, row: int) -> Initializer:
    """An initializer whose table has zeros in one row."""

    def init(*args: Any, **kwargs: Any) -> Any:
        return initializer(*args, **kwargs).at[row].set(0)

    return init
