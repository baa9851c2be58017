"""The arithmetic of normalization, on arrays alone.

Each normalization layer takes the mean and the variance of its input over its
*reduction axes* (`mean_and_variance`), and then shifts, scales and casts
(`normalize`). Statistics keep the reduced axes, with size 1. They are at least float32,
because the variance of half-precision data is mostly rounding otherwise; the result has
the dtype of the layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .._compute import Settings
from .._dtypes import canonicalize_dtype

Axes = int | Sequence[int]


class NormOptions(NamedTuple):
    """What a normalization is told besides its arrays; hashable.

    Attributes:
        reduction_axes: axes to take statistics over.
        feature_axes: axes along which scale and bias vary.
        epsilon: added to the variance.
        axis_name: name of a mapped axis to take statistics over as well.
        axis_index_groups: parts of that axis to keep apart.
        use_fast_variance: whether to take mean and variance in one pass.
    """

    reduction_axes: Axes
    feature_axes: Axes
    epsilon: float
    axis_name: Any
    axis_index_groups: Any
    use_fast_variance: bool


def norm_options(layer: Any, reduction_axes: Axes, feature_axes: Axes) -> NormOptions:
    """Those of a layer, over axes that may depend on its input."""
    return NormOptions(
        reduction_axes,
        feature_axes,
        layer.epsilon,
        layer.axis_name,
        layer.axis_index_groups,
        layer.use_fast_variance,
    )


def canonicalize_axes(axes: Axes, ndim: int) -> tuple[int, ...]:
    """Returns `axes` without repetition, counted from the front, in order."""
    axes = axes if isinstance(axes, Iterable) else (axes,)
    return tuple(sorted({axis % ndim for axis in axes}))


def groups_as_tuples(groups: Any) -> Any:
    """`axis_index_groups` in hashable form."""
    return None if groups is None else tuple(map(tuple, groups))


def mean_and_variance(
    using: Settings, x: jax.Array, mask: jax.Array | None, options: NormOptions
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance over the reduction axes, which stay with size 1.

    Args:
        using: the dtypes of the layer.
        x: `(...)`, inexact.
        mask: which elements count, broadcastable to `x`.
        options: as the layer has them.
    """
    x = jnp.asarray(x, _at_least_float32(x, using.dtype))
    if options.use_fast_variance:
        # Var[x] = E[|x|²] - |E[x]|²: one pass over x, and one collective. Rounding
        # can make it negative.
        mean, square = _means((x, _abs_square(x)), mask, options)
        return mean, jnp.maximum(0.0, square - _abs_square(mean))
    (mean,) = _means((x,), mask, options)
    (variance,) = _means((_abs_square(x - mean),), mask, options)
    return mean, variance


def count_of_elements(
    x: jax.Array, mask: jax.Array | None, options: NormOptions
) -> jax.Array:
    """How many elements each mean is taken of; with a mask of the shape of a mean.

    Args:
        x, mask, options: as for `mean_and_variance`.
    """
    axes = canonicalize_axes(options.reduction_axes, x.ndim)
    ones = jnp.ones([x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)])
    if mask is not None:
        mask = jnp.reshape(mask, (1,) * (x.ndim - mask.ndim) + mask.shape)
        ones = ones * mask.astype(ones.dtype)
    number = ones.sum(axes, keepdims=True)
    if options.axis_name is None:
        return number
    groups = options.axis_index_groups
    return lax.psum(number, options.axis_name, axis_index_groups=groups)


def mean_square(
    using: Settings, x: jax.Array, mask: jax.Array | None, options: NormOptions
) -> jax.Array:
    """Mean of |x|² over the reduction axes, which stay with size 1."""
    x = jnp.asarray(x, _at_least_float32(x, using.dtype))
    # Not lax.square where it can be helped: on CPU, XLA fuses the gradient of a product
    # better, and RMSNorm forward and backward takes 0.7 of the time. The variance above
    # is better off with it; the numbers are the same.
    square = _abs_square(x) if jnp.iscomplexobj(x) else x * x
    return _means((square,), mask, options)[0]


def normalize(
    using: Settings,
    x: jax.Array,
    mean: jax.Array | None,
    variance: jax.Array,
    scale: jax.Array | None,
    bias: jax.Array | None,
    options: NormOptions,
) -> jax.Array:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias`.

    Args:
        using: the dtypes of the layer.
        x: `(...)`.
        mean: of the rank of `x`, or running, `(num_features,)`; None leaves it out.
        variance: likewise.
        scale: as many elements as the feature axes of `x` have; None leaves it out.
        bias: as the scale.
        options: as the layer has them.
    """
    dtype = canonicalize_dtype(x, scale, bias, dtype=using.dtype)
    features = canonicalize_axes(options.feature_axes, x.ndim)
    shape = [size if axis in features else 1 for axis, size in enumerate(x.shape)]
    if mean is not None and mean.ndim < x.ndim:
        mean, variance = mean.reshape(shape), variance.reshape(shape)
    # Half-precision data meets float32 statistics here, on purpose.
    with jax.numpy_dtype_promotion("standard"):
        factor = lax.rsqrt(variance + options.epsilon)
        if scale is not None:
            factor = factor * scale.reshape(shape)
        out = (x if mean is None else x - mean) * factor
        if bias is not None:
            out = out + bias.reshape(shape)
    return jnp.asarray(out, using.output_dtype or dtype)


def at_least_float32(x: jax.Array) -> jax.Array:
    """An array in float32, or in the wider dtype that it has."""
    return jnp.asarray(x, _at_least_float32(x, None))


def _at_least_float32(x: jax.Array, dtype: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(x.dtype if dtype is None else dtype, jnp.float32)


def _abs_square(x: jax.Array) -> jax.Array:
    if jnp.iscomplexobj(x):
        return lax.square(lax.real(x)) + lax.square(lax.imag(x))
    return lax.square(x)


def _means(
    arrays: tuple[jax.Array, ...], mask: jax.Array | None, options: NormOptions
) -> tuple[jax.Array, ...]:
    axes = canonicalize_axes(options.reduction_axes, arrays[0].ndim)
    if mask is not None:
        mask = jnp.reshape(mask, (1,) * (arrays[0].ndim - mask.ndim) + mask.shape)
    means = tuple(x.mean(axes, keepdims=True, where=mask) for x in arrays)
    if options.axis_name is None:
        return means
    groups = options.axis_index_groups
    return lax.pmean(means, options.axis_name, axis_index_groups=groups)
