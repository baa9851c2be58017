"""What the normalization layers check of their input."""

from __future__ import annotations

import math
from typing import Any

import jax

from ..._objects import module_path
from ...errors import ShapeError
from .._params import broadcasts, size_error


def check_features(layer: Any, x: jax.Array) -> None:
    """Raises a ShapeError unless the feature axes of `x` have `num_features` elements.

    Args:
        layer: a layer with `num_features` and `feature_axes`.
        x: what it was given.
    """
    axes, shape = layer.feature_axes, x.shape
    try:
        if isinstance(axes, int):
            got = shape[axes]
        else:
            got = math.prod([shape[axis] for axis in axes])
    except IndexError:
        got = None
    if got != layer.num_features:
        raise size_error(
            layer,
            x,
            axis=axes,
            expected=layer.num_features,
            got=got,
            argument="num_features",
        )


def check_reduction(layer: Any, x: jax.Array) -> None:
    """Raises a ShapeError if `x` lacks one of the `reduction_axes` of a layer.

    Args:
        layer: a layer with `reduction_axes`.
        x: what it was given.
    """
    axes, ndim = layer.reduction_axes, x.ndim
    axes = (axes,) if isinstance(axes, int) else axes or ()
    for axis in axes:
        if not -ndim <= axis < ndim:
            raise ShapeError(
                f"{type(layer).__name__} expects an input with its reduction_axes="
                f"{layer.reduction_axes}, but the input has shape {x.shape}",
                where=module_path(layer),
                remedy="pass an input that has them, or build the layer with others.",
            )


def check_mask(layer: Any, x: jax.Array, mask: jax.Array | None) -> None:
    """Raises a ShapeError unless the mask, if there is one, broadcasts to `x`."""
    if mask is not None and not broadcasts(mask.shape, x.shape):
        raise ShapeError(
            f"{type(layer).__name__} expects a mask that broadcasts to its input, of "
            f"shape {x.shape}, but the mask has shape {mask.shape}",
            where=module_path(layer),
            remedy=f"pass a mask of shape {x.shape}, with size 1 for an axis along "
            "which it does not vary.",
        )
