"""The checks on read and on write of state.

The rule for a write: the object was made in the trace that is running, or is the twin
that the running transform made of it. Anything else would leave a tracer in an object
that outlives the trace, so it raises before anything changes.

The rule for a read: a twin stands for its original; captured state that has no twin is
noted, so that `jit` can lift it to a hidden input. Captured state that a transform of
JAX's own would compile in is stale there; state whose trace has ended has escaped it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from operator import is_
from typing import Any

from jax.core import Tracer

from .._compat import EAGER, may_be_running, running_traces, takes_result_apart, tracing
from ._copies import copies, note_adopted, note_read, note_write, written
from ._explain import leak_error
from ._handed_out import note_handed_out
from ._report import escaped_error, tell_stale
from ._trace import ROOT, active, context, current_trace, raise_pending

_read = object.__getattribute__  # past what this does at each access


def resolve(obj: Any) -> Any:
    """The object that stands for `obj` in the running transform.

    Captured state that has no twin inside the innermost lifting transform, be it from
    the eager world or from a transform around, is noted there, and stands for itself
    in this trace.
    """
    # No local is called `frame`: `running_transform` would take this for its end.
    twin = obj
    found = -1
    home = obj._oakum_frame is None
    for depth, each in enumerate(context.frames):
        stands_in = each.twins.get(id(twin))
        if stands_in is not None:
            twin, found = stands_in, depth
        if each is obj._oakum_frame:
            home, found = True, depth
    if home:
        for depth in range(len(context.frames) - 1, found, -1):
            each = context.frames[depth]
            if each.lifts:
                each.captured.setdefault(id(obj), obj)
                break
    inner = context.frame
    if inner is None or inner.outside is None or found == len(context.frames) - 1:
        return twin
    if id(twin) not in inner.met:
        inner.met[id(twin)] = twin
        inner.outside(twin)
    return twin


def readable(variable: Any) -> Any:
    """The Variable to read instead of `variable`: itself or its twin.

    It is called where a transform runs, or where the Variable was made in one; the
    Variable asks that by itself, since every read does.

    Raises:
        TraceContextError: the trace that the value belongs to has ended.
    """
    frame = context.frame
    if active:
        if context.pending is not None:
            raise_pending()
        if variable._oakum_frame is not frame:
            variable = resolve(variable)
    if frame is not None and variable._oakum_frame is frame:
        if written:
            note_read(variable)
        return variable  # a twin, or made in this transform
    mark = variable._oakum_mark
    if mark is ROOT:
        if tracing.value is not EAGER:
            _check_fresh(variable)
    elif mark is not None:
        if written:
            note_read(variable)
        if mark != current_trace():
            _check_alive(variable, mark)
    return variable


def writable(obj: Any) -> Any:
    """The object to write to instead of `obj`: itself or its twin.

    Raises:
        TraceContextError: the write would leak a tracer out of its trace.
    """
    if active:
        if context.pending is not None:
            raise_pending()
        if obj._oakum_frame is not context.frame:
            obj = resolve(obj)
    if obj._oakum_mark != current_trace() and not _at_home(obj):
        if context.levels["leak"] == "off":
            return obj
        own = getattr(type(obj), "_check_valid_context", None)
        if own is None:
            raise leak_error(obj)
        own(obj, lambda: f"Cannot write to {type(obj).__name__} in this trace")
        return obj
    if copies:
        note_write(obj)
    return obj


def refuse(obj: Any) -> None:
    """Raises where an object is not to be written to in the running trace.

    Raises:
        TraceContextError: the write would leak a tracer out of its trace.
    """
    if obj._oakum_mark != current_trace() and not _at_home(obj):
        raise leak_error(obj)


def all_eager(objects: Iterable[Any]) -> bool:
    """Whether objects are of the eager world and used in it: no check is due."""
    if active or copies or tracing.value is not EAGER:
        return False
    return all(map(is_, map(_read, objects, repeat("_oakum_mark")), repeat(ROOT)))


def own(obj: Any) -> Any:
    """The object to write to instead of `obj`, if one is to be had here; else None.

    What it gives is on its way into an object of the user's, so that a copy that JAX
    made is not followed any more.
    """
    if active and obj._oakum_frame is not context.frame:
        obj = resolve(obj)
    if obj._oakum_mark != current_trace() and not _at_home(obj):
        return None
    if copies:
        note_adopted(obj)
    return obj


def is_alive(obj: Any) -> bool:
    """Whether an object belongs to the eager world, or to a trace that is running."""
    return (
        obj._oakum_mark is ROOT
        or obj._oakum_mark is None
        or may_be_running(obj._oakum_mark)
    )


def seal(obj: Any) -> None:
    """Makes a twin read-only: it stands for state that `jit` found by itself."""
    object.__setattr__(obj, "_oakum_mark", None)


def _check_fresh(variable: Any) -> None:
    """Tells where the value of captured state becomes a constant of a program."""
    if context.levels["stale"] == "off":
        return
    frames = context.frames
    if any([f.lifts and id(variable) in f.captured for f in frames]):
        return  # it becomes an input
    ours = [frame.mark for frame in frames]
    if not any([kept and trace not in ours for trace, kept in running_traces()]):
        return
    if not (context.hands_out and note_handed_out(variable)):
        tell_stale(variable)


def _check_alive(variable: Any, mark: Any) -> None:
    """Raises where the trace of a Variable is none of those that are running."""
    if context.levels["escaped"] == "off" or not isinstance(variable._raw, Tracer):
        return
    if not may_be_running(mark) and not takes_result_apart():
        raise escaped_error(variable)


def _at_home(obj: Any) -> bool:
    """Whether an object outlived its trace with values that are none of it.

    Then it belongs to where it is used: the eager world.
    """
    mark = obj._oakum_mark
    inside = tracing.value is not EAGER or context.frame is not None
    if mark is None or mark is ROOT or inside:
        return False
    if isinstance(getattr(obj, "_raw", None), Tracer):
        if context.levels["escaped"] != "off":
            raise escaped_error(obj)
        return False
    object.__setattr__(obj, "_oakum_mark", ROOT)
    object.__setattr__(obj, "_oakum_frame", None)
    return True
