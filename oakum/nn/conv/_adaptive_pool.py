"""Adaptive pooling: windows that are chosen so that the output has a given size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...errors import ArgumentValueError, ShapeError
from .._params import as_tuple

Sizes = int | Sequence[int | None]


def adaptive_avg_pool(inputs: jax.Array, output_shape: Sizes) -> jax.Array:
    """Takes the mean of windows that divide the spatial axes as evenly as they can.

    Window `i` of `n` goes from `floor(i * size / n)` to `ceil((i + 1) * size / n)`, as
    PyTorch has it: neighbours share elements where `n` does not divide the size.

    Args:
        inputs: `(*batch, *spatial, channels)`, inexact.
        output_shape: for each spatial axis the size it is to have; None leaves it. An
            int stands for one axis.

    Returns:
        An array of shape `(*batch, *output_shape, channels)`.

    Raises:
        ArgumentValueError: a size is less than 1.
        ShapeError: the input has not enough axes, or an empty one.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.arange(5.0).reshape(1, 5, 1)
        >>> nnx.adaptive_avg_pool(x, 2).ravel()
        Array([1., 3.], dtype=float32)
    """

    def mean(x: jax.Array, inside: jax.Array) -> jax.Array:
        return jnp.mean(x, -1, where=inside)

    return _pooled(inputs, output_shape, mean)


def adaptive_max_pool(inputs: jax.Array, output_shape: Sizes) -> jax.Array:
    """Takes the greatest element of the windows of `adaptive_avg_pool`.

    Args:
        inputs: `(*batch, *spatial, channels)`.
        output_shape: as for `adaptive_avg_pool`.

    Returns:
        An array of shape `(*batch, *output_shape, channels)`.

    Raises:
        ArgumentValueError, ShapeError: as `adaptive_avg_pool`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.arange(5.0).reshape(1, 5, 1)
        >>> nnx.adaptive_max_pool(x, 2).ravel()
        Array([2., 4.], dtype=float32)
    """
    # What is outside repeats the window's last element, which changes no maximum.
    return _pooled(inputs, output_shape, lambda x, inside: jnp.max(x, -1))


def _pooled(
    inputs: jax.Array, output_shape: Any, reduce: Callable[..., jax.Array]
) -> jax.Array:
    """One axis after the other: the windows of several axes are boxes."""
    sizes = as_tuple(output_shape)
    rank = len(sizes)
    spatial = inputs.shape[-rank - 1 : -1]
    if any(size is not None and size < 1 for size in sizes):
        raise ArgumentValueError(
            f"output_shape={output_shape!r} of an adaptive pool",
            remedy="give each spatial axis a size of 1 or more, or None to leave it.",
        )
    if inputs.ndim <= rank or 0 in spatial:
        raise ShapeError(
            f"An adaptive pool to {sizes} needs {rank} spatial axes with elements and "
            f"one of channels, but the input has shape {inputs.shape}",
            remedy="pass an input of shape (*batch, *spatial, channels).",
        )
    for number, size in enumerate(sizes):
        axis = inputs.ndim - rank - 1 + number
        if size is None or size == inputs.shape[axis]:
            continue
        inside, places = _windows(inputs.shape[axis], size)
        x = jnp.moveaxis(inputs, axis, -1)[..., places]  # (..., size, longest)
        inside = inside.reshape((1,) * (x.ndim - 2) + inside.shape)
        inputs = jnp.moveaxis(reduce(x, inside), -1, axis)
    return inputs


def _windows(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which elements each window has: `(count, longest)`, True, and their places."""
    starts = np.arange(count) * size // count
    ends = -(-(np.arange(count) + 1) * size // count)
    steps = np.arange((ends - starts).max())
    places = starts[:, None] + steps
    return places < ends[:, None], np.minimum(places, ends[:, None] - 1)
