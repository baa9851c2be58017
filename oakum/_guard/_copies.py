"""The copies that JAX makes of the objects among the arguments of its own transforms.

`jax.jit(f)(model)` calls `f` on a copy. What `f` writes to it is lost unless it returns
the copy, or what it took from it. So each copy is noted when it is made; a write and a
return are noted with it; and when it dies within its trace, written and not returned,
the user is told. As it dies nothing can be raised: an error waits for the next use of
state in this thread, or for the end of the `guard` block.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

from .._compat import (
    caller_of_trees,
    current_trace,
    used_in_equations_alone,
)
from ..errors import OakumWarning
from ._explain import running_transform
from ._origin import Origin, here
from ._report import tell_lost
from ._trace import context, postpone

copies: dict[int, Copy] = {}


class Copy:
    """What is known of one copy.

    Attributes:
        ref: the Variable or node, weakly.
        frame: identity of the frame of JAX that made it, which lives as long as the
            user's function runs, and takes its result apart.
        mark: the trace it was made in.
        path: where it stands in the argument.
        transform: what is tracing, as users write it.
        line: where it was written last, if it was.
        returned: whether it was returned or copied since.
        value: the value that was read since, weakly.
    """

    __slots__ = (
        "frame",
        "kind",
        "line",
        "mark",
        "path",
        "ref",
        "returned",
        "transform",
        "value",
    )

    def __init__(self, obj: Any, frame: int):
        self.frame = frame
        self.kind = type(obj).__name__
        self.mark = obj._mark
        self.path = self.transform = ""
        self.line: Origin | None = None
        self.returned = False
        self.value: Any = None
        ident = id(obj)
        self.ref = weakref.ref(obj, partial(_died, ident))


def note_copies(objects: Iterable[Any]) -> None:
    """Notes Variables or nodes that a pytree was rebuilt with just now."""
    if context.levels["lost"] == "off":
        return
    frame, kind = caller_of_trees()
    if kind == "call":
        for obj in objects:
            copies[id(obj)] = Copy(obj, frame)


def note_path(variable: Any, path: str) -> None:
    """Notes where a copy stands in its argument."""
    copy = copies.get(id(variable))
    if copy is not None:
        copy.path = path


def note_write(obj: Any) -> None:
    """Notes that a copy is about to be written."""
    copy = copies.get(id(obj))
    if copy is not None:
        copy.transform = copy.transform or running_transform()[0]
        copy.line, copy.returned, copy.value = here(), False, None


def note_read(variable: Any) -> None:
    """Notes the value that a copy gives after it was written."""
    copy = copies.get(id(variable))
    if copy is not None and copy.line is not None:
        try:
            copy.value = weakref.ref(variable._raw)
        except TypeError:  # not a tracer: a number, a pytree of arrays
            copy.value = None


def note_flatten(objects: Iterable[Any]) -> None:
    """Notes that a pytree with copies is taken apart: as a result, or by the user."""
    frame, kind = caller_of_trees()
    for obj in objects:
        copy = copies.get(id(obj))
        if copy is not None:
            copy.returned |= frame == copy.frame or kind == "user"


def note_taken(nodes: Iterable[Any]) -> None:
    """Notes that the user took the state of these nodes out of them."""
    for node in nodes:
        copy = copies.get(id(node))
        if copy is not None:
            copy.returned = True


def _died(ident: int, _: Any) -> None:
    copy = copies.pop(ident)
    if copy.line is None or copy.returned or copy.mark != current_trace():
        return  # outside its trace: the function was left by an exception
    tracer = copy.value and copy.value()
    if tracer is not None and not used_in_equations_alone(tracer):
        return
    name = f"{copy.kind} `{copy.path}`" if copy.path else copy.kind
    try:
        tell_lost(name, copy.transform, copy.line)
    except OakumWarning as error:
        postpone(error)
