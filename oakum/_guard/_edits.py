"""Edits that nobody sees as they happen, by a function that is traced.

Such are those of plain lists and dicts, and of objects of others: pytrees and
configuration. To reach one, the function reads an attribute of an object; so what it
holds is noted then, and compared when the function ends. State of an object from
outside of the trace gets back what it held, and that is told as a leak; so does
configuration, whosever it is, but only where a traced value was left in it. At the end
of a function of JAX's nothing can be raised, and the error waits. State of a copy that
JAX made counts as written (see `_copies`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._compat import caller_of_function, watch_call
from ._contents import (
    ENDS,
    contents_within,
    holds_state,
    holds_tracer,
    leads_inside,
    lost_tracers,
    outlives,
    put_back,
    quiet,
    same_content,
)
from ._copies import copies, follow_plain
from ._explain import Place, leak_error, place_here
from ._trace import context, current_trace, postpone


class Plain:
    """What can be edited unseen of an object, as messages name it.

    Attributes:
        items: the value of the object that was read.
        mark: the trace in which the object was made.
        place: where it was read, if that is known.
        contents: the containers in it, and what they held.
    """

    __slots__ = ("_oakum_origin", "contents", "items", "mark", "place")
    stands_in = True
    place: Place | None

    def __init__(self, items: Any, owner: Any, contents: list):
        self.items, self.contents, self.place = items, contents, None
        self._oakum_origin = None if owner is None else owner._oakum_origin
        self.mark = None if owner is None else owner._oakum_mark


def note_plain(owner: Any, value: Any) -> None:
    """Notes that a traced function reads what it may edit unseen.

    Args:
        owner: the object that has it, as it is or as its twin.
        value: a list, dict or tuple, or an object of others.
    """
    kind = type(value)
    if hasattr(kind, "_oakum_mark"):  # it sees to itself
        quiet.add(kind)
        return
    at_home = owner._oakum_mark is None or owner._oakum_mark == current_trace()
    if at_home:  # of a copy that JAX made, an edit may be lost
        if context.frame is not None and context.frame.sync is not None:
            context.frame.sync()
        if copies and id(owner) in copies:
            _note_in_copy(owner, value)
        return
    if context.levels["leak"] == "off" or isinstance(value, ENDS):
        return
    # No name that `running_transform` looks for, which goes by the names of locals.
    running = context.frame
    if running is not None and running.mark == current_trace():
        known = running.read
    else:
        known = _read_in_call(caller_of_function())
    if known is not None:
        note_held(known, owner, value)


def note_held(known: dict[int, Plain], owner: Any, value: Any) -> None:
    """Notes a value of an object from outside, and what it holds.

    Args:
        known: what was noted by now.
        owner: the object.
        value: the value.
    """
    if id(value) in known:
        return
    found = contents_within(value)
    if found:
        known[id(value)] = plain = Plain(value, owner, found)
        plain.place = place_here()  # which reads attributes itself


def note_settings(
    known: dict[int, Plain], owner: Any, value: Any, whole: bool = True
) -> None:
    """Notes the configuration of an argument, in which no traced value may be left.

    Args:
        known: what was noted by now.
        owner: the object that has it, if it is no argument itself.
        value: the configuration.
        whole: whether all of it is, a deque or a static list itself too; else what it
            holds that is no state.
    """
    found = [
        (i, s, False) for i, s, state in contents_within(value) if whole or not state
    ]
    if found and id(value) not in known:
        known[id(value)] = Plain(value, owner, found)


def _note_in_copy(owner: Any, value: Any) -> None:
    found = contents_within(value)
    shared = _is_shared(owner, value)
    if not shared:
        follow_plain(owner, [(items, seen) for items, seen, state in found if state])
    if shared or not all([state for _, _, state in found]):
        known = _read_in_call(caller_of_function())
        if known is not None:
            note_settings(known, owner, value, whole=shared)


def _is_shared(owner: Any, value: Any) -> bool:
    """Whether a copy has the very object that its original has: configuration."""
    if type(value) in (list, dict, tuple):
        marks = owner._oakum_marks or {}
        static = [key for key, kind in marks.items() if kind == "static"]
        children = dict(owner._oakum_children()) if static else {}
        return any([children.get(key) is value for key in static])
    return not holds_state([value])


def edited(read: dict[int, Plain], kept: bool = True) -> list[Plain]:
    """What was edited of what was read; it gets back what it held.

    What is no state may be edited, but for a traced value in it.

    Args:
        read: what was read.
        kept: whether all lists and dicts that are attributes count as state; else
            those alone that held some, and what now leads to what the trace made.
    """
    return [plain for plain in read.values() if _is_put_back(plain, kept)]


def _is_put_back(plain: Plain, kept: bool) -> bool:
    """Whether there was something to put back of what was read of one object."""
    any_edited = False
    all_state = kept or any([holds_state(seen) for _, seen, s in plain.contents if s])
    for items, seen, state in plain.contents:
        if same_content(items, seen) or lost_tracers(items, seen):
            continue
        if state and not all_state:
            state = leads_inside(items, plain.mark)
        if state or (holds_tracer(items) and not (kept and outlives(items))):
            put_back(items, seen)
            any_edited = True
    return any_edited


_calls: dict[int, dict[int, Plain]] = {}
"""What the functions that JAX is running have read, by the frame that called each."""


def _read_in_call(caller: int | None) -> dict[int, Plain] | None:
    if caller is None:
        return None
    known = _calls.get(caller)
    if known is None:
        known = {}
        left, ended = _at_the_end(caller, known)
        if not watch_call(caller, left, ended):
            return None
        _calls[caller] = known
    return known


def _at_the_end(caller: int, read: dict) -> tuple[Callable, Callable]:
    def left(finished: bool = True) -> None:
        # As in flax.nnx: what a function of JAX's does to configuration stays done.
        found = edited(read, kept=False)
        read.clear()
        if found and finished:
            postpone(leak_error(found[0], found[0].place))

    def ended(finished: bool) -> None:
        _calls.pop(caller, None)
        left(finished)

    return left, ended
