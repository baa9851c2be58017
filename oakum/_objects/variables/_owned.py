"""What a Variable stores of a value that it is given.

A Variable owns its array: what the program could go on writing to, a NumPy buffer or a
list of arrays, is copied on the way in, and NumPy's become arrays of JAX.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._compat import ConcreteArray
from ..._guard import describe
from ...errors import ArgumentError

CONTAINERS = frozenset((dict, list, tuple))


def owned(value: Any, old: Any = None) -> Any:
    """A value with JAX arrays in place of NumPy's, whose buffers stay with the caller.

    Args:
        value: an array or a pytree of arrays.
        old: what the Variable held; an array of its shape goes where it lies.
    """
    if type(value) is ConcreteArray:
        return value
    if isinstance(value, np.ndarray):
        return _copied(value, old)
    return jax.tree.map(owned, value) if type(value) in CONTAINERS else value


def kept(value: Any) -> Any:
    """A value that nobody else can write to; what is on the host stays there."""
    if type(value) is ConcreteArray:
        return value
    if isinstance(value, np.ndarray):
        ours = value.base is None and not value.flags.writeable
        return value if ours else value.copy()
    return jax.tree.map(kept, value) if type(value) in CONTAINERS else value


def _copied(value: np.ndarray, old: Any) -> Any:
    new = _as_jax(value)
    if (
        type(new) is ConcreteArray
        and isinstance(old, ConcreteArray)
        and old.shape == new.shape
        and old.sharding != new.sharding
    ):
        return jax.device_put(new, old.sharding)
    return new


def _as_jax(value: np.ndarray) -> Any:
    """A copy as an array of JAX; of NumPy where JAX cannot hold the values."""
    try:
        if not _wraps(value):
            return jnp.array(value)
    except TypeError:  # text, objects
        pass
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def _wraps(value: np.ndarray) -> bool:
    """Whether there are integers that are too large for JAX's dtype of them."""
    if value.dtype.kind not in "iu" or value.dtype.itemsize < 8 or not value.size:
        return False
    dtype = jax.dtypes.canonicalize_dtype(value.dtype)
    limits = np.iinfo(dtype)
    return not limits.min <= value.min() <= value.max() <= limits.max


def set_at(old: Any, index: Any, value: Any) -> Any:
    """`old` with other values at `index`; the caller's buffers stay the caller's."""
    same_shape = getattr(value, "shape", None) == getattr(old, "shape", 0)
    if index is ... and same_shape and value.dtype == old.dtype:
        return owned(value, old)
    if isinstance(old, jax.Array):
        return old.at[index].set(value)
    if isinstance(old, np.ndarray):
        new = old.copy()
        new[index] = value
        return owned(new)
    return owned(value) if index is ... else _set_item(old, index, owned(value))


def handed_out(value: Any) -> Any:
    """A value whose lists and dicts are the reader's to write to, its arrays shared."""
    kind: Any = type(value)
    if kind is dict:
        return {key: handed_out(each) for key, each in value.items()}
    return kind(map(handed_out, value)) if kind in CONTAINERS else value


def without(old: Any, index: Any) -> Any:
    """A list or dict without what stands at `index`."""
    new = copy(old)
    del new[index]
    return new


def _set_item(old: Any, index: Any, value: Any) -> Any:
    new = copy(old)
    new[index] = value
    return new


def check_value(cls: type, value: Any, origin: Any = None) -> None:
    """Refuses what is no data.

    Args:
        cls: the type of the Variable.
        value: what it is to hold.
        origin: where it was made.

    Raises:
        ArgumentError: text or a class.
    """
    if isinstance(value, str | bytes | type):
        raise ArgumentError(
            f"{cls.__name__} holds an array or a pytree of arrays, not "
            f"{type(value).__name__}: {value!r:.60}",
            where=f"made at {describe(origin)}" if origin else "",
            remedy=f"{cls.__name__}(jnp.asarray(...)), or a plain attribute for "
            "what is not data.",
        )
