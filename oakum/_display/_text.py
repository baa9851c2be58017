"""The text of a cell: arrays by shape and dtype, never by value."""

from __future__ import annotations

from typing import Any

import jax

from .._objects import Node, Variable, is_array
from .._repr import bytes_text, shape_text
from .._state import TRAINABLE, is_frozen
from ._inventory import Held, Size, path_text

_MANY = 8  # items of a container that are worth the space
_LONG = 40


def describe(value: Any) -> str:
    """A value on one line, as `{ids: int32[2,8], scale: 0.5}`."""
    if isinstance(value, Variable):
        return describe(value.get_raw_value())
    if is_array(value):
        return shape_text(value)
    if isinstance(value, dict):
        return f"{{{_joined([f'{k}: {describe(v)}' for k, v in value.items()])}}}"
    names = getattr(type(value), "_fields", None)
    if isinstance(value, tuple) and names is not None:
        parts = [f"{k}={describe(v)}" for k, v in zip(names, value, strict=True)]
        return f"{type(value).__name__}({_joined(parts)})"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        return f"{left}{_joined([describe(item) for item in value])}{right}"
    return _brief(value)


def _joined(parts: list[str]) -> str:
    return ", ".join(_first(parts))


def _first(parts: list[str]) -> list[str]:
    more = [f"... {len(parts) - _MANY} more"] if len(parts) > _MANY else []
    return parts[:_MANY] + more


def _brief(value: Any) -> str:
    if isinstance(value, Node) or len(jax.tree.leaves(value)) > 1:
        return f"{type(value).__name__}(...)"
    text = value.__name__ if hasattr(value, "__name__") else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def result_text(value: Any) -> str:
    """What a call returns: the parts of a tuple, list or dict one below the other."""
    if isinstance(value, dict):
        lines = [f"{key}: {describe(item)}" for key, item in value.items()]
    elif isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        lines = [describe(item) for item in value]
    else:
        lines = [describe(value)]
    return "\n".join(_first(lines))


def inputs_text(args: tuple, kwargs: dict[str, Any]) -> str:
    """What a call is given, one argument a line."""
    lines = [result_text(args[0])] if len(args) == 1 else [describe(a) for a in args]
    return "\n".join([*lines, *[f"{k}: {describe(v)}" for k, v in kwargs.items()]])


def size_text(size: Size) -> str:
    """Elements and bytes, as `4,224 (16.9 KB)`."""
    return f"{size.elements:,} ({bytes_text(size.bytes)})"


def held_text(held: Held) -> str:
    """A Variable in its place, as `kernel: float32[2,3] frozen`."""
    if held.same_as is not None:
        return f"{held.name}: see {path_text(held.same_as)}"
    words = [
        f"{held.name}: {describe(held.value)}" if held.name else describe(held.value)
    ]
    if is_frozen(held.value):
        words.append("frozen")
    if isinstance(held.value, Variable):
        words += [
            f"{name}={describe(value)}"
            for name, value in held.value.get_metadata().items()
            if name != TRAINABLE and not name.startswith("on_")
        ]
    return " ".join(words)
