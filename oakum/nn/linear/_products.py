"""Products whose sums are wider than what is multiplied.

With `preferred_element_type`, a product of bfloat16 sums up in float32 and returns
that. JAX then hands the float32 gradient on into the products of the backward pass,
with their other operand in bfloat16: convolutions multiply in float32 there, matrices
in what the device makes of two dtypes, and under strict promotion neither lowers. Here
the backward pass multiplies in the dtype of the operands, in which their gradients are
returned anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


def wide_product(
    product: Callable[..., jax.Array],
    x: jax.Array,
    y: jax.Array,
    preferred: Any,
    ours: bool,
) -> jax.Array:
    """`product(x, y)`, or with `preferred_element_type=preferred` where that is given.

    Args:
        product: linear in `x` and in `y`.
        x: of the dtype of `y`.
        y: of the dtype of `x`.
        preferred: dtype of the sums and of the result, or None.
        ours: whether `product` calls no function of the user's, which may have a
            derivative of its own.
    """
    if preferred is None:
        return product(x, y)
    if not ours or jnp.dtype(preferred).itemsize <= x.dtype.itemsize:
        return product(x, y, preferred_element_type=preferred)

    @jax.custom_jvp
    def widened(x: jax.Array, y: jax.Array) -> jax.Array:
        return product(x, y, preferred_element_type=preferred)

    def tangent(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
        (x, y), (dx, dy) = primals, tangents
        out = product(x, y, preferred_element_type=preferred)
        parts = [product(dx, y)] if not isinstance(dx, SymbolicZero) else []
        parts += [product(x, dy)] if not isinstance(dy, SymbolicZero) else []
        return out, sum(parts[1:], parts[0]).astype(out.dtype)

    widened.defjvp(tangent, symbolic_zeros=True)
    return widened(x, y)
