"""What a Variable stores of a value that it is given.

A Variable owns its array: what the program could go on writing to, a NumPy buffer or a
list of arrays, is copied on the way in.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from .._compat import ConcreteArray

_CONTAINERS = frozenset((dict, list, tuple))


def owned(value: Any) -> Any:
    """A value that nobody else can write to."""
    kind = type(value)
    if kind is ConcreteArray:
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if kind in _CONTAINERS:
        return jax.tree.map(
            lambda x: x.copy() if isinstance(x, np.ndarray) else x, value
        )
    return value


def set_at(old: Any, index: Any, value: Any) -> Any:
    """What a Variable holds after new values were set at an index."""
    same_shape = getattr(value, "shape", None) == getattr(old, "shape", 0)
    if index is ... and same_shape and value.dtype == old.dtype:
        return value
    if isinstance(old, jax.Array):
        return old.at[index].set(value)
    if isinstance(old, np.ndarray):
        new = old.copy()
        new[index] = value
        return new
    return value if index is ... else _set_item(old, index, value)


def _set_item(old: Any, index: Any, value: Any) -> Any:
    new = old.copy()
    new[index] = value
    return new
