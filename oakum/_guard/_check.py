"""The checks on read and on write of state.

The rule for a write: the object was made in the trace that is running, or is the twin
that the running transform made of it. Anything else would leave a tracer in an object
that outlives the trace, so it raises before anything changes. The rule for a read: a
twin stands for its original; captured state that has no twin is noted, so that `jit`
can lift it to a hidden input.
"""

from __future__ import annotations

from typing import Any

from ._explain import leak_error
from ._trace import active, context, current_trace


def resolve(obj: Any) -> Any:
    """The object that stands for `obj` in the running transform.

    Captured eager state that has no twin inside the innermost lifting transform is
    noted there, and stands for itself in this trace.
    """
    twin = obj
    found = -1
    for depth, frame in enumerate(context.frames):
        inner = frame.twins.get(id(twin))
        if inner is not None:
            twin, found = inner, depth
    if obj._frame is None:
        for depth in range(len(context.frames) - 1, found, -1):
            frame = context.frames[depth]
            if frame.lifts:
                frame.captured.setdefault(id(obj), obj)
                break
    return twin


def writable(obj: Any) -> Any:
    """The object to write to instead of `obj`: itself or its twin.

    Raises:
        TraceContextError: the write would leak a tracer out of its trace.
    """
    if active and obj._frame is not context.frame:
        obj = resolve(obj)
    if obj._mark != current_trace():
        raise leak_error(obj)
    return obj


def seal(obj: Any) -> None:
    """Makes a twin read-only: it stands for state that `jit` found by itself."""
    object.__setattr__(obj, "_mark", None)
