"""Names for types that stand in many signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Dtype = Any
"""What `jnp.dtype` takes: `jnp.float32`, `'bfloat16'`, `np.dtype(...)`."""

Shape = tuple[int, ...]

PrecisionLike = Any
"""What the `precision` argument of `jax.lax.dot_general` takes."""

Initializer = Callable[..., Any]
"""A function of key, shape and dtype that returns an array."""

Axes = int | tuple[int, ...]
