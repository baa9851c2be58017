"""What Conv and ConvTranspose share about kernel and input: axes, masks and checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax import lax

from ..._objects import module_path
from ...errors import ArgumentValueError, ShapeError
from .._dtypes import promote_dtype
from .._params import check_last_axis


def channels_last(rank: int) -> lax.ConvDimensionNumbers:
    """`(batch, *spatial, channels)`, for a kernel `(*spatial, in, out)`."""
    around = (0, rank + 1, *range(1, rank + 1))
    return lax.ConvDimensionNumbers(around, (rank + 1, rank, *range(rank)), around)


def dimension_numbers(shape: Sequence[int]) -> lax.ConvDimensionNumbers:
    """Those of `channels_last`, for an input of this shape."""
    return channels_last(len(shape) - 2)


def with_one_batch_axis(
    inputs: jax.Array, rank: int
) -> tuple[jax.Array, tuple[int, ...]]:
    """The input with its batch axes joined to one, and what these were."""
    batch_shape = inputs.shape[: -(rank + 1)]
    if len(batch_shape) != 1:
        inputs = inputs.reshape(math.prod(batch_shape), *inputs.shape[-(rank + 1) :])
    return inputs, batch_shape


def masked(kernel: jax.Array, mask: jax.Array | None) -> jax.Array:
    """The kernel multiplied with the mask, if there is one."""
    return kernel if mask is None else _multiplied(kernel, mask)


@jax.jit
def _multiplied(kernel: jax.Array, mask: jax.Array) -> jax.Array:
    weights, chosen = promote_dtype((kernel, mask), inexact=False)
    return weights * chosen


def check_groups(layer: Any) -> None:
    """Raises an ArgumentValueError where the groups of a layer do not divide its sizes.

    Args:
        layer: with `in_features`, `out_features` and `feature_group_count`.
    """
    groups = layer.feature_group_count
    for name in ("in_features", "out_features"):
        if getattr(layer, name) % groups:
            raise ArgumentValueError(
                f"{name}={getattr(layer, name)} of a {type(layer).__name__} cannot be "
                f"divided into feature_group_count={groups} groups",
                remedy=f"make {name} a multiple of {groups}.",
            )


def check_mask(layer: Any) -> None:
    """Raises a ShapeError where the mask of a layer has not the shape of its kernel."""
    if layer.mask is not None and layer.mask.shape != layer.kernel_shape:
        raise ShapeError(
            f"The mask of a {type(layer).__name__} has shape {layer.mask.shape}, but "
            f"its kernel has shape {layer.kernel_shape}",
            where=module_path(layer),
            remedy=f"pass a mask of shape {layer.kernel_shape}.",
        )


def check_input(layer: Any, inputs: jax.Array) -> None:
    """Raises a ShapeError unless the input has spatial axes and `in_features` last."""
    rank, features = len(layer.kernel_size), layer.in_features
    if inputs.ndim <= rank:
        raise ShapeError(
            f"{type(layer).__name__} with kernel_size={layer.kernel_size} expects "
            f"{rank} spatial axes and one of channels, but the input has shape "
            f"{inputs.shape}",
            where=module_path(layer),
            remedy=f"pass an input of rank {rank + 1} or more: "
            f"(*batch, *spatial, {features}).",
        )
    check_last_axis(layer, inputs, features, "in_features")
