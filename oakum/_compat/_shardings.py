"""Two arrays that are to lie alike, where the compiler decides where they lie."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding

try:
    from jax.experimental.shard_alike import shard_alike as _shard_alike
except ImportError:  # pragma: no cover - another JAX
    _shard_alike: Any = None  # since jax 0.12

FOLLOWS = _shard_alike is not None
"""Whether one trace serves arguments of all shardings."""


def like(value: Any, known: Any, sharding: Any = None) -> Any:
    """A traced value that is to lie as another one of its shape does.

    A constraint to the other one's sharding would stand in the trace, which serves
    arguments of all shardings; an alike pair is resolved for each of them. Where JAX
    has none any more, there is the constraint, and a trace for each.

    Args:
        value: the value.
        known: the other one.
        sharding: of the other one, where it is known.
    """
    if not _is_traced_array(value) or not _is_traced_array(known):
        return value
    if value.shape != known.shape:
        return value
    if FOLLOWS:
        return _shard_alike(known, value)[1]
    if not isinstance(sharding, NamedSharding):
        return value
    if AxisType.Explicit in sharding.mesh.axis_types:  # is part of the array's type
        return value
    return jax.lax.with_sharding_constraint(value, sharding)


def is_sharding_type_error(error: BaseException) -> bool:
    """Whether it is JAX's error about explicit axes, which has no public name."""
    return type(error).__name__ == "ShardingTypeError"


def _is_traced_array(value: Any) -> bool:
    return isinstance(value, Tracer) and not jnp.issubdtype(
        value.dtype, jax.dtypes.extended
    )
