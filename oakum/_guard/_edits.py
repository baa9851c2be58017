"""Edits of plain lists and dicts by a function that is traced.

Nobody sees such an edit as it happens. But to reach the list, the function reads an
attribute of an object; so what it holds is noted then, and compared when the function
ends. A list of an object from outside of the trace gets back what it held, and that is
told as a leak; at the end of a function of JAX's nothing can be raised, and the error
waits. A list of a copy that JAX made counts as written (see `_copies`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._compat import caller_of_function, watch_call
from ._contents import contents_below, put_back, same_content
from ._copies import copies, follow_plain
from ._explain import Place, leak_error, place_here
from ._trace import context, current_trace, postpone


class Plain:
    """A plain list or dict of an object, as messages name it, and where it was read."""

    __slots__ = ("_oakum_origin", "items", "place")
    stands_in = True

    def __init__(self, items: Any, origin: Any, place: Place):
        self.items, self._oakum_origin, self.place = items, origin, place


def note_plain(owner: Any, value: Any) -> None:
    """Notes that a traced function reads a plain container that it may edit.

    Args:
        owner: the object that has it, as it is or as its twin.
        value: a list, dict or tuple.
    """
    at_home = owner._oakum_mark is None or owner._oakum_mark == current_trace()
    if at_home:  # of a copy that JAX made, an edit may be lost
        if context.frame is not None and context.frame.sync is not None:
            context.frame.sync()
        if copies and id(owner) in copies:
            follow_plain(owner, contents_below(value))
        return
    if context.levels["leak"] == "off" or not _holds_plain(value):
        return
    # No name that `running_transform` looks for, which goes by the names of locals.
    running = context.frame
    if running is not None and running.mark == current_trace():
        known = running.read
    else:
        known = _read_in_call(caller_of_function())
    if known is None:
        return
    new = [c for c in contents_below(value) if id(c[0]) not in known]
    if new:
        place = place_here()
        for items, seen in new:
            known[id(items)] = Plain(items, owner._oakum_origin, place), seen


def _holds_plain(value: Any) -> bool:
    return type(value) in (list, dict) or (
        isinstance(value, tuple) and any(map(_holds_plain, value))
    )


def edited(read: dict[int, tuple[Plain, Any]]) -> list[Plain]:
    """The lists and dicts that were edited; they get back what they held."""
    found = []
    for plain, seen in read.values():
        if not same_content(plain.items, seen):
            put_back(plain.items, seen)
            found.append(plain)
    return found


_calls: dict[int, dict[int, tuple[Plain, Any]]] = {}
"""What the functions that JAX is running have read, by the frame that called each."""


def _read_in_call(caller: int | None) -> dict[int, tuple[Plain, Any]] | None:
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
        found = edited(read)
        read.clear()
        if found and finished:
            postpone(leak_error(found[0], found[0].place))

    def ended(finished: bool) -> None:
        _calls.pop(caller, None)
        left(finished)

    return left, ended
