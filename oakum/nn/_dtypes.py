"""The dtype in which a layer computes, from its `dtype` or from what it is given.

A layer casts its input and its parameters to one dtype before it computes: to the one
the user names, else to the smallest that holds them all. That is a cast the user asked
for by building the layer, so it also happens where JAX is set to refuse silent
promotion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._typing import Dtype
from ..errors import ArgumentValueError

# `promote(arrays, dtype=...)` returns a tuple of the same length; None stays None.
PromoteDtype = Callable[..., tuple]


def canonicalize_dtype(
    *args: Any, dtype: Dtype | None = None, inexact: bool = True
) -> Any:
    """Returns the dtype to compute in.

    Args:
        *args: arrays, or what converts to one; None is skipped.
        dtype: the answer, if given.
        inexact: whether the answer must be a real or complex floating-point dtype;
            integers then count as float32 at least.

    Returns:
        A dtype.

    Raises:
        ArgumentValueError: `dtype` is not inexact though it must be.
    """
    if dtype is None:
        with jax.numpy_dtype_promotion("standard"):
            dtype = jnp.result_type(*[jnp.asarray(x) for x in args if x is not None])
            if inexact and not jnp.issubdtype(dtype, jnp.inexact):
                dtype = jnp.promote_types(jnp.float32, dtype)
    if inexact and not jnp.issubdtype(dtype, jnp.inexact):
        raise ArgumentValueError(
            f"Cannot compute in dtype {jnp.dtype(dtype)}: a floating-point dtype is "
            "expected",
            remedy="pass dtype=jnp.float32 or jnp.bfloat16, or dtype=None to take the "
            "dtype of input and parameters.",
        )
    return dtype


def promote_dtype(
    args: tuple, /, *, dtype: Dtype | None = None, inexact: bool = True
) -> tuple:
    """Casts arrays to one dtype.

    Args:
        args: a tuple of arrays, or of what converts to one; None stays None.
        dtype: the dtype; None infers the smallest that holds all of `args`.
        inexact: whether it must be a floating-point dtype.

    Returns:
        A tuple of the length of `args`.

    Raises:
        ArgumentValueError: `dtype` is not inexact though it must be.

    Example:
        >>> import jax.numpy as jnp
        >>> from oakum.nn import promote_dtype
        >>> a, b = promote_dtype((jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float32)))
        >>> a.dtype, b.dtype
        (dtype('float32'), dtype('float32'))
    """
    dtype = canonicalize_dtype(*args, dtype=dtype, inexact=inexact)
    return tuple(None if x is None else jnp.asarray(x, dtype) for x in args)


def as_output(x: jax.Array, dtype: Dtype | None) -> jax.Array:
    """What a layer returns: `x` in its `output_dtype`, where it has one."""
    return x if dtype is None else x.astype(dtype)
