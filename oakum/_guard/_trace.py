"""Which trace is running, and which transform of oakum runs it.

A *frame* is one running transform: it knows the trace in which its function runs (its
*mark*) and which trace-local *twin* stands for which original object. Frames nest; the
innermost is `context.frame`. All thread-local state of oakum is in `context`.

`active` is a list that is non-empty while any thread is inside a frame. An eager read
of a Variable tests it and nothing else, so that reads outside of transforms are free.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .._compat import current_trace, root_trace

__all__ = ["ROOT", "Frame", "TraceState", "active", "context", "current_trace"]

ROOT = root_trace()

active: list[Frame] = []


class Frame:
    """One running transform.

    Args:
        transform: its name as users write it, such as `jit`.
        function: the user's function, for messages.
        lifts: whether captured state becomes a hidden input (`jit`), rather than
            ordinary closed-over data.
    """

    __slots__ = (
        "attributes",
        "captured",
        "function",
        "given",
        "lifts",
        "loose",
        "mark",
        "met",
        "outer",
        "outside",
        "places",
        "plain",
        "read",
        "sync",
        "transform",
        "twins",
    )

    def __init__(self, transform: str, function: Any, lifts: bool = False):
        self.transform = transform
        self.function = function
        self.lifts = lifts
        self.mark: Any = None
        self.twins: dict[int, Any] = {}
        self.captured: dict[int, Any] = {}
        self.loose: list[Any] = []  # what twins hold that can change unseen
        self.plain: list[Any] = []  # what stands for the twins of plain lists and dicts
        self.attributes: Any = None  # what twins have, with what it was
        self.given: list[Any] = []  # lists and dicts among the arguments, likewise
        self.read: dict[int, Any] = {}  # plain lists and dicts from outside
        self.sync: Callable[[], None] | None = None  # takes over edits of these
        self.outside: Callable[[Any], None] | None = None  # told of what is met first
        self.met: dict[int, Any] = {}  # what is used here and is of an outer trace
        self.places: dict[int, Any] = {}  # where arrays that are given to it lie
        self.outer: tuple[Frame, ...] = context.frames

    def __enter__(self) -> Frame:
        self.mark = current_trace()
        active.append(self)
        context.frames = (*self.outer, self)
        context.frame = self
        return self

    def __exit__(self, *exc: object) -> None:
        # Back to what the constructor saw: an inner frame that an interrupt left
        # behind goes with it.
        context.frames = self.outer
        context.frame = self.outer[-1] if self.outer else None
        if self in active:
            active.remove(self)
        # They refer to the frame: a cycle would keep their tracers.
        self.twins, self.loose, self.plain, self.read = {}, [], [], {}
        self.attributes, self.given, self.met, self.places = None, [], {}, {}


class TraceState:
    """The trace in which it was made, as programs ask for it."""

    __slots__ = ("jax_trace",)

    def __init__(self) -> None:
        self.jax_trace = current_trace()

    def is_valid(self) -> bool:
        """Whether that trace still runs, and is the innermost."""
        return self.jax_trace == current_trace()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceState) and self.jax_trace == other.jax_trace

    __hash__ = None  # type: ignore[assignment]


class _Context(threading.local):
    frames: tuple[Frame, ...] = ()
    frame: Frame | None = None
    pending: Exception | None = None
    hands_out: Any = False  # whether a read hands an array out, used or not
    levels: dict[str, str]  # of each hazard; the class has the default, see `_switch`
    axis_rules: tuple[tuple[str, Any], ...] = ()  # what `logical_axis_rules` sets
    eager_sharding: bool = True  # what `use_eager_sharding` sets


context = _Context()


def place_of(array: Any) -> Any:
    """The sharding of an array that a running trace was given, None if unknown."""
    found = [frame.places.get(id(array)) for frame in context.frames]
    return next((place for place in found if place is not None), None)


def postpone(error: Exception) -> None:
    """Keeps an error for the next use of state in this thread."""
    if context.pending is None:
        context.pending = error
        active.append(Frame("pending", None))


def raise_pending() -> None:
    """Raises the error that waits in this thread, if one does."""
    error, context.pending = context.pending, None
    if error is not None:
        active.remove(next(f for f in active if f.transform == "pending"))
        raise error
