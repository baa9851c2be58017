"""Annotations of a class, which Python 3.14 evaluates when they are asked for."""

from __future__ import annotations

import inspect
import sys
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format
else:
    Format = None


def annotations_of(cls: type) -> dict[str, Any]:
    """A class's own annotations; a name that is not defined yet is no error."""
    if Format is None:
        return inspect.get_annotations(cls)
    return inspect.get_annotations(cls, format=Format.FORWARDREF)  # type: ignore[call-arg]
