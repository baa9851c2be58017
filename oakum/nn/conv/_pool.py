"""Pooling: one number for each window of the spatial axes, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...errors import ArgumentValueError, ShapeError
from .._params import plain
from ._padding import fits_nowhere, window_error


def pool(
    inputs: jax.Array,
    init: Any,
    reduce_fn: Callable[[Any, Any], Any],
    window_shape: Sequence[int],
    strides: int | Sequence[int] | None,
    padding: str | int | Sequence[int | Sequence[int]],
) -> jax.Array:
    """Reduces each window of the spatial axes with `reduce_fn`.

    Args:
        inputs: `(*batch, *spatial, channels)`, with any number of batch axes.
        init: value to start each reduction from.
        reduce_fn: reduces two values to one; JAX differentiates `lax.add`, `lax.max`
            and `lax.min`, and no others.
        window_shape: size of a window along each spatial axis.
        strides: step along each spatial axis, or one for all; None stands for 1.
        padding: `'SAME'`, `'VALID'`, or a pair `(low, high)` for each spatial axis; a
            number stands for both, or for all axes.

    Returns:
        An array of shape `(*batch, *windows, channels)`.

    Raises:
        ArgumentValueError: no window, an unknown padding, or strides or padding for
            another number of axes.
        ShapeError: the input has not enough axes, or a window is larger than the
            padded input.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> x = jnp.arange(4.0).reshape(1, 4, 1)
        >>> nnx.pool(x, 0.0, jax.lax.add, (2,), (2,), 'VALID').ravel()
        Array([1., 5.], dtype=float32)
    """
    window = _window(window_shape)
    rank = len(window)
    steps = for_each_axis(strides, rank) if strides else (1,) * rank
    lead = inputs.ndim - rank - 1
    if lead < 0:
        raise ShapeError(
            f"A window of shape {window} needs {rank} spatial axes and one of "
            f"channels, but the input has shape {inputs.shape}",
            remedy="pass an input of shape (*batch, *spatial, channels).",
        )
    if len(steps) != rank:
        raise _rank_error("strides", strides, window)
    if isinstance(padding, str) and padding not in ("SAME", "VALID", "SAME_LOWER"):
        raise ArgumentValueError(
            f"padding={padding!r} is no padding",
            remedy="pass 'SAME', 'VALID', or a pair (low, high) for each spatial axis.",
        )
    pads: Any = padding
    around: Any = padding
    if not isinstance(padding, str):
        pads = tuple(for_each_axis(pad, 2) for pad in for_each_axis(padding, rank))
        if len(pads) != rank or any(len(pair) != 2 for pair in pads):
            raise _rank_error("padding", padding, window)
        around = (*((0, 0),) * lead, *pads, (0, 0))
    ones = (1,) * lead
    out = lax.reduce_window(
        inputs, init, reduce_fn, (*ones, *window, 1), (*ones, *steps, 1), around
    )
    if fits_nowhere(inputs, out, rank):
        spans = "A window of pooling spans"
        unit = (1,) * rank
        raise window_error(spans, inputs, window, unit, pads, "window_shape")
    return out


def avg_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int | Sequence[int]] = "VALID",
    count_include_pad: bool = True,
    *,
    ceil_mode: bool = False,
) -> jax.Array:
    """Takes the mean of each window.

    Args:
        inputs: `(*batch, *spatial, channels)`, inexact.
        window_shape, strides, padding: as for `pool`.
        count_include_pad: whether padded elements count as zeros.
        ceil_mode: as for `max_pool`; what is beyond the padding does not count.

    Returns:
        An array of shape `(*batch, *windows, channels)`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.arange(4.0).reshape(1, 4, 1)
        >>> nnx.avg_pool(x, (2,), strides=(2,)).ravel()
        Array([0.5, 2.5], dtype=float32)
    """
    given = padding
    if ceil_mode:
        padding = _up_to_the_end(inputs, window_shape, strides, padding)
    total = pool(inputs, 0.0, lax.add, window_shape, strides, padding)
    if count_include_pad and padding is given:
        return total / math.prod(window_shape)
    if 0 in total.shape:  # of an empty batch, which `ones` below would fill
        return total
    rank = len(window_shape)
    spatial = inputs.shape[inputs.ndim - rank - 1 : -1]
    if count_include_pad and not isinstance(padding, str):
        within = _pairs(given, rank)
        spatial = [
            n + low + high for n, (low, high) in zip(spatial, within, strict=True)
        ]
        beyond = zip(within, _pairs(padding, rank), strict=True)
        padding = [(0, high - inner) for (_, inner), (_, high) in beyond]
    ones = jnp.ones((*(1,) * (inputs.ndim - rank - 1), *spatial, 1), total.dtype)
    return total / pool(ones, 0.0, lax.add, window_shape, strides, padding)


def max_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int | Sequence[int]] = "VALID",
    *,
    ceil_mode: bool = False,
) -> jax.Array:
    """Takes the greatest element of each window.

    Args:
        inputs: `(*batch, *spatial, channels)`.
        window_shape, strides, padding: as for `pool`.
        ceil_mode: whether the last windows may reach beyond the end, as long as they
            begin before it, so that no element is left out.

    Returns:
        An array of shape `(*batch, *windows, channels)`.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.max_pool(jnp.arange(4.0)[:, None], (2,), strides=(2,)).ravel()
        Array([1., 3.], dtype=float32)
    """
    lowest = _bound(inputs.dtype, -1)
    if ceil_mode:
        padding = _up_to_the_end(inputs, window_shape, strides, padding)
    return pool(inputs, lowest, lax.max, window_shape, strides, padding)


def min_pool(
    inputs: jax.Array,
    window_shape: Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int | Sequence[int]] = "VALID",
) -> jax.Array:
    """Takes the least element of each window.

    Args:
        inputs, window_shape, strides, padding: as for `max_pool`.

    Returns:
        An array of the shape that `max_pool` returns.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> x = jnp.arange(4.0).reshape(1, 4, 1)
        >>> nnx.min_pool(x, (2,), strides=(2,)).ravel()
        Array([0., 2.], dtype=float32)
    """
    highest = _bound(inputs.dtype, 1)
    return pool(inputs, highest, lax.min, window_shape, strides, padding)


def _pairs(padding: Any, rank: int) -> list[tuple[int, int]]:
    """Padding as a pair for each axis; that of `VALID` is nothing."""
    if isinstance(padding, str):
        return [(0, 0)] * rank
    return [for_each_axis(pad, 2) for pad in for_each_axis(padding, rank)]


def _up_to_the_end(inputs: Any, window_shape: Any, strides: Any, padding: Any) -> Any:
    """The padding with which no element behind the last whole window is left out.

    That is `padding` itself where there is none, or where it is of another form than
    `pool` takes.
    """
    rank = len(window_shape)
    if isinstance(padding, str) and padding != "VALID":
        return padding  # SAME leaves nothing out
    pairs = _pairs(padding, rank)
    steps = for_each_axis(strides, rank) if strides else (1,) * rank
    spatial = inputs.shape[-rank - 1 : -1]
    if not len(pairs) == len(steps) == len(spatial) == rank:
        return padding
    more = []
    for size, window, step, (low, high) in zip(
        spatial, window_shape, steps, pairs, strict=True
    ):
        count = max(0, -(-(size + low + high - window) // step)) + 1
        if (count - 1) * step >= size + low:  # it would begin in the padding
            count -= 1
        end = (count - 1) * step + window
        more.append((low, max(high, end - size - low)))
    return padding if more == pairs else more


def _bound(dtype: Any, sign: int) -> float | int:
    """What no element of `dtype` exceeds upwards (`sign` 1) or downwards (-1)."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return sign * math.inf
    info = jnp.iinfo(dtype)
    return int(info.max if sign > 0 else info.min)


def for_each_axis(value: Any, n: int) -> tuple:
    """A number `n` times; several as they are."""
    value = plain(value)
    return (value,) * n if isinstance(value, int) else tuple(value)


def _window(shape: Any) -> tuple[int, ...]:
    window = tuple(shape) if isinstance(shape, Sequence) else ()
    if not window or min(window) < 1:
        raise ArgumentValueError(
            f"window_shape={shape!r} is no shape of a window",
            remedy="pass one size of 1 or more for each spatial axis, as in (2, 2).",
        )
    return window


def _rank_error(name: str, value: Any, window: tuple[int, ...]) -> ArgumentValueError:
    return ArgumentValueError(
        f"{name}={value!r} does not fit a window of shape {window}",
        remedy=f"pass {len(window)} entries of {name}, one for each spatial axis"
        + (", each a pair (low, high)." if name == "padding" else "."),
    )
