"""Window arguments of a convolution: the user's word for them, and what JAX is told.

`SAME`, `VALID` and explicit amounts of padding are JAX's own. `CIRCULAR`, `REFLECT` and
`CAUSAL` are carried out on the input, and the convolution then runs unpadded.

A window larger than its padded input fits nowhere. JAX returns an empty array, and the
mean of that is a NaN far from here; layers and pooling refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import jax
import jax.numpy as jnp

from ..._objects import module_path
from ...errors import ArgumentValueError, ShapeError

Pairs = tuple[tuple[int, int], ...]

_NATIVE = ("SAME", "VALID", "SAME_LOWER")
_MODES = {"CIRCULAR": "wrap", "REFLECT": "reflect", "CAUSAL": "constant"}
_FILLS = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """Returns one int for each of `rank` axes; None stands for 1.

    Raises:
        ArgumentValueError: neither an int nor `rank` ints.
    """
    try:
        if value is None:
            return (1,) * rank
        if not isinstance(value, Sequence):
            return (index(value),) * rank
        if len(value) == rank:
            return tuple(index(item) for item in value)
    except TypeError:
        pass
    raise ArgumentValueError(
        f"{name}={value!r} does not fit a kernel with {rank} spatial axes",
        remedy=f"pass {name} as an int or as {rank} ints.",
    )


def canonicalize_padding(padding: Any, rank: int) -> str | Pairs:
    """Returns `padding` as an upper-case word or as one `(low, high)` for each axis.

    Args:
        padding: a word; an int for both sides of every axis; or for each of the
            `rank` axes an int or a pair.
        rank: number of spatial axes.

    Raises:
        ArgumentValueError: none of these, or `CAUSAL` for more than one axis.
    """
    if isinstance(padding, str):
        word = padding.upper()
        if word == "CAUSAL" and rank != 1:
            raise ArgumentValueError(
                f"padding='CAUSAL' is for one spatial axis, but the kernel has {rank}",
                remedy="pad the time axis yourself, as in padding=((2, 0), (1, 1)).",
            )
        if word in _NATIVE or word in _MODES:
            return word
    else:
        try:
            return _pairs(padding, rank)
        except (TypeError, ValueError):
            pass
    raise ArgumentValueError(
        f"padding={padding!r} is no padding for {rank} spatial axes",
        remedy=f"pass one of {', '.join((*_NATIVE, *_MODES))}, an int, or {rank} ints "
        "or (low, high) pairs.",
    )


def _pairs(padding: Any, rank: int) -> Pairs:
    if not isinstance(padding, Sequence):
        return ((index(padding), index(padding)),) * rank
    if len(padding) != rank:
        raise ValueError
    pairs = [p if isinstance(p, Sequence) else (p, p) for p in padding]
    return tuple((index(low), index(high)) for low, high in pairs)


def check_dilated_padding(padding: str | Pairs, dilation: tuple[int, ...]) -> None:
    """Refuses a padding that has no meaning for a dilated input.

    Raises:
        ArgumentValueError: a word other than `VALID`, and a dilation other than 1.
    """
    if isinstance(padding, str) and padding != "VALID" and set(dilation) != {1}:
        raise ArgumentValueError(
            f"padding={padding!r} has no meaning with input_dilation={dilation}",
            remedy="pass the amounts, as in padding=1 or padding=((1, 1), (0, 2)), or "
            "padding='VALID'.",
        )


def check_padding_mode(
    mode: Any, padding: str | Pairs, dilation: tuple[int, ...]
) -> None:
    """Refuses a mode that is not known, or that the padding has no use for.

    Raises:
        ArgumentValueError: it is not known, the padding is another word than `SAME` or
            `VALID` or takes elements away, or the input is dilated.
    """
    if mode == "zeros":
        return
    amounts = not isinstance(padding, str)
    least = min(map(min, padding)) if amounts and padding else 0
    usable = amounts or padding in ("SAME", "VALID")
    if mode in _FILLS and usable and least >= 0 and set(dilation) == {1}:
        return
    raise ArgumentValueError(
        f"padding_mode={mode!r} of a Conv with padding={padding!r} and input_dilation="
        f"{dilation}",
        remedy=f"pass one of 'zeros', {', '.join(map(repr, _FILLS))}; but for zeros, "
        "with the amounts, as in padding=2, or 'SAME', and an input_dilation of 1.",
    )


def pad_inputs(
    inputs: jax.Array,
    padding: str | Pairs,
    kernel_size: tuple[int, ...],
    kernel_dilation: tuple[int, ...],
    mode: str = "zeros",
) -> tuple[jax.Array, str | Pairs]:
    """Carries out what JAX has no word for.

    Args:
        inputs: `(batch, *spatial, channels)`.
        padding: as `canonicalize_padding` returns it.
        kernel_size: for each spatial axis.
        kernel_dilation: for each spatial axis.
        mode: what stands in the padding.

    Returns:
        The input, padded where needed, and the padding that is left to do.
    """
    none = ((0, 0),) * len(kernel_size)
    if padding == "VALID":
        # The word would do as well, were it not that JAX refuses any together with a
        # dilated input.
        return inputs, none
    fill = _FILLS.get(mode) or (isinstance(padding, str) and _MODES.get(padding))
    if not fill:
        return inputs, padding
    # How far beyond its first element the dilated kernel reaches.
    reach = [d * (k - 1) for k, d in zip(kernel_size, kernel_dilation, strict=True)]
    if not isinstance(padding, str):
        amounts = [*padding]
    elif padding == "CAUSAL":
        amounts = [(r, 0) for r in reach]
    else:
        amounts = [(r // 2, (r + 1) // 2) for r in reach]
    return jnp.pad(inputs, [(0, 0), *amounts, (0, 0)], mode=fill), none


def fits_nowhere(inputs: Any, out: Any, rank: int) -> bool:
    """Whether one of `rank` spatial axes came out empty, though nothing went in so."""
    return 0 in out.shape[-rank - 1 : -1] and 0 not in inputs.shape


def kernel_error(layer: Any, inputs: Any, spread: Any) -> ShapeError:
    """The error for an input, spread out by `spread`, that has no room for a kernel."""
    size: tuple[int, ...] = layer.kernel_size
    rank = len(size)
    dilation = per_axis(layer.kernel_dilation, rank, "kernel_dilation")
    dilated = f", kernel_dilation={dilation}" if set(dilation) != {1} else ""
    return window_error(
        f"The kernel of a {type(layer).__name__}, kernel_size={size}{dilated}, spans",
        inputs,
        tuple(d * (k - 1) + 1 for k, d in zip(size, dilation, strict=True)),
        per_axis(spread, rank, "strides"),
        canonicalize_padding(layer.padding, rank),
        "kernel_size",
        module_path(layer),
    )


def window_error(
    spans: str,
    inputs: Any,
    window: tuple[int, ...],
    spread: tuple[int, ...],
    padding: str | Pairs,
    argument: str,
    where: str = "",
) -> ShapeError:
    """The error for a window that is larger than the padded input.

    Args:
        spans: the window, in words.
        inputs: `(*batch, *spatial, channels)`.
        window: how many elements it spans along each spatial axis.
        spread: how far apart the elements of the input are put along each.
        padding: `VALID` or amounts; the other words leave room for any window.
        argument: the argument that makes the window smaller.
        where: the path of the layer.
    """
    pairs = ((0, 0),) * len(window) if isinstance(padding, str) else padding
    sizes = inputs.shape[-len(window) - 1 : -1]
    padded = tuple(
        s * (n - 1) + 1 + sum(pair)
        for n, s, pair in zip(sizes, spread, pairs, strict=True)
    )
    return ShapeError(
        f"{spans} {window}, but the input of shape {tuple(inputs.shape)} spans "
        f"{padded} with its padding: it fits nowhere, and the output would be empty",
        where=where,
        remedy=f"pass a larger input, more padding or a smaller {argument}.",
    )
