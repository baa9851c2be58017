"""Containers that JAX knows and oakum does not."""

from __future__ import annotations

import collections
from typing import Any

import jax


class Ring(collections.deque[Any]):
    """A deque that JAX knows."""


jax.tree_util.register_pytree_node(
    Ring, lambda r: (tuple(r), None), lambda _, items: Ring(items)
)
