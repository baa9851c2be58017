"""Tracebacks without the engine: a user sees their own lines, and where it was raised.

An error in a traced function passes through ten frames of the engine and more. Each
transform drops them as the error leaves it, as JAX does with its own frames, and under
the same switch: `JAX_TRACEBACK_FILTERING=off` keeps all. Nothing is done where nothing
is raised.
"""

from __future__ import annotations

import functools
import os
from types import TracebackType
from typing import Any

import jax

from .._typing import F

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_ENGINE = tuple(
    os.path.join(_PACKAGE, place)
    for place in ("_engine/", "_compiled/", "transforms/", "_modes.py")
)


def trim(error: Exception) -> None:
    """Drops the engine's frames from the traceback of an error that is caught.

    The frame that raised it stays, whosever it is. A plain `raise` then goes on without
    adding the frame it stands in, which is dropped too.
    """
    if jax.config.jax_traceback_filtering == "off":  # type: ignore[attr-defined]
        return
    entries, entry = [], error.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    kept: TracebackType | None = None
    for entry in reversed(entries):
        frame = entry.tb_frame
        if kept is None or not frame.f_code.co_filename.startswith(_ENGINE):
            kept = TracebackType(kept, frame, entry.tb_lasti, entry.tb_lineno)
    error.with_traceback(kept)


def trimmed(function: F) -> F:
    """A function of the engine that users call, out of which errors come trimmed."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            trim(error)
            raise

    trimming: Any = call
    return trimming
