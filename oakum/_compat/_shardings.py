"""Two arrays that are to lie alike, where the compiler decides where they lie."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

try:
    from jax.experimental.shard_alike import shard_alike as _shard_alike
except ImportError:  # pragma: no cover - another JAX
    _shard_alike: Any = None  # results then lie where the compiler puts them


def like(value: Any, known: Any) -> Any:
    """A traced value that is to lie as another one of its shape does.

    A constraint to the other one's sharding would stand in the trace, which serves
    arguments of all shardings; this is resolved for each of them.
    """
    if _shard_alike is None or not _is_traced_array(value):
        return value
    if not _is_traced_array(known) or value.shape != known.shape:
        return value
    return _shard_alike(known, value)[1]


def _is_traced_array(value: Any) -> bool:
    return isinstance(value, Tracer) and not jnp.issubdtype(
        value.dtype, jax.dtypes.extended
    )
