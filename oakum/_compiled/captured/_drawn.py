"""Iterators that a jitted function draws from beside its arguments.

It draws when it is traced, and what it got is compiled in: later calls draw nothing.
There is no looking at an iterator without drawing, so it is told.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from typing import Any

from ... import _guard as guard
from ._steps import BY_VALUE


def is_drawn_from(value: Any) -> bool:
    """Whether a value is an iterator of Python's, which gives each item once."""
    home = type(value).__module__
    return isinstance(value, Iterator) and home in ("builtins", "itertools")


def position(value: Any) -> Any:
    """How far an iterator has come; None where that cannot be told."""
    if isinstance(value, types.GeneratorType):
        frame = value.gi_frame
        if frame is None:
            return "ended"
        held = [
            position(item) if is_drawn_from(item) else item
            for item in frame.f_locals.values()
            if is_drawn_from(item) or type(item) in BY_VALUE
        ]
        return frame.f_lasti, held
    if isinstance(value, itertools.count):
        return repr(value)
    if hasattr(value, "__length_hint__"):  # of a list, tuple, range, dict or set
        return value.__length_hint__()
    return None


def tell_drawn(function: Any, before: list[tuple[Any, Any]]) -> None:
    """Tells of an iterator that a trace has drawn from.

    Args:
        function: the user's function.
        before: each iterator, and how far it had come.
    """
    for value, known in before:
        if position(value) != known:
            return guard.tell_drawn(function, type(value).__name__)
    return None
