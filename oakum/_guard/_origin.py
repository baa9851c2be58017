"""Where an object was made: cheap to take, formatted only when an error is built."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
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


def here() -> Origin | None:
    """The user's line that is running, not yet formatted."""
    frame = user_frame(2)
    return None if frame is None else (frame.f_code, frame.f_lasti)


def describe(origin: Origin | None) -> str:
    """Formats an origin as `file:line in function`."""
    if origin is None:
        return "an unknown line"
    code, offset = origin
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if number is not None and start <= offset < end:
            line = number
            break
    return f"{code.co_filename}:{line} in {code.co_name}"
