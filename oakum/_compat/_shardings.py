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


def like(value: Any, known: Any, sharding: Any = None) -> Any:
    """A traced value that is to lie as another one of its shape does.

    One that the program has put somewhere itself, by a constraint, stays there. Where
    the sharding is not known, an alike pair says so; but the compiler may then
    move both, where others of the program would have them elsewhere.

    Args:
        value: the value.
        known: the other one.
        sharding: of the other one, where it is known.
    """
    if not _is_traced_array(value) or not _is_traced_array(known):
        return value
    if value.shape != known.shape or _is_constraint(value):
        return value
    # An explicit axis is part of the array's type, and stays what it is.
    if isinstance(sharding, NamedSharding) and (
        AxisType.Explicit not in sharding.mesh.axis_types
    ):
        return jax.lax.with_sharding_constraint(value, sharding)
    return value if _shard_alike is None else _shard_alike(known, value)[1]


def is_sharding_type_error(error: BaseException) -> bool:
    """Whether it is JAX's error about explicit axes, which has no public name."""
    kind = type(error).__name__
    return kind == "ShardingTypeError" or (
        kind == "ValueError" and "`out_sharding`" in str(error)
    )


def _is_constraint(value: Tracer) -> bool:
    equation = getattr(value, "parent", None)  # JAX 0.10 to 0.12 have it
    primitive = getattr(equation, "primitive", None)
    return getattr(primitive, "name", "") == "sharding_constraint"


def _is_traced_array(value: Any) -> bool:
    return isinstance(value, Tracer) and not jnp.issubdtype(
        value.dtype, jax.dtypes.extended
    )
