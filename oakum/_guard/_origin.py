"""Where an object was made: cheap to take, formatted only when an error is built."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import Any

import jax

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
# A file of the package counts as the user's when it is none of ours to hide: doctests.
_DEPTH = 24

Origin = tuple[CodeType, int]


def user_frame(start: int = 1) -> FrameType | None:
    """The innermost Python frame that is not inside oakum."""
    frame: FrameType | None = sys._getframe(start)
    for _ in range(_DEPTH):
        if frame is None:
            return None
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return frame
        frame = frame.f_back
    return None


def here(beyond_jax: bool = False) -> Origin | None:
    """The user's line that is running, not yet formatted.

    Args:
        beyond_jax: whether to pass over JAX's own lines as well.
    """
    frame = user_frame(2)
    while beyond_jax and frame and frame.f_code.co_filename.startswith(_JAX):
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


def first_line(function: Any) -> Origin | None:
    """The line at which a function begins, if it is one of Python's."""
    code = getattr(function, "__code__", None)
    return code and (code, 0)


def position(origin: Origin | None) -> tuple[str, int]:
    """The file and line of an origin."""
    if origin is None:
        return "an unknown line", 0
    code, offset = origin
    for start, end, number in code.co_lines():
        if number is not None and start <= offset < end:
            return code.co_filename, number
    return code.co_filename, code.co_firstlineno


def describe(origin: Origin | None) -> str:
    """Formats an origin as `file:line in function`."""
    if origin is None:
        return "an unknown line"
    filename, line = position(origin)
    return f"{filename}:{line} in {origin[0].co_name}"
