"""The copies that JAX makes of the objects among the arguments of its own transforms.

`jax.jit(f)(model)` calls `f` on a copy. What `f` writes to it is lost unless it returns
the copy, or what it took from it. So each copy is noted when it is made, and a write
and a return are noted with it. What was written and did not go out is told of when the
function of JAX that called `f` ends: the copy may live on in a reference cycle, so its
death says nothing. As a frame ends nothing can be raised: an error waits for the next
use of state in this thread, or for the end of the `guard` block.

A function that keeps an exception it caught keeps its frame alive, and those of JAX.
What it lost is told of when the garbage collector frees them; not so what it read again
after the write, since its result cannot be looked at any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

from .._compat import (
    caller_of_function,
    caller_of_trees,
    used_in_equations_alone,
    watch_call,
)
from .._repr import path_text
from ..errors import OakumWarning
from ._contents import Content, content_of, same_content
from ._origin import Origin, here
from ._report import tell_lost
from ._stack import running_transform
from ._trace import context, postpone

copies: dict[int, Copy] = {}
_DERIVATIVES = frozenset(
    (
        *("grad", "value_and_grad", "vjp", "jvp", "linearize", "hessian", "checkpoint"),
        *("jacfwd", "jacrev", "jacobian", "custom_vjp", "custom_jvp", "remat"),
    )
)
written: dict[int, list[Copy]] = {}
"""The copies that were written, by the frame that made them."""


class Copy(weakref.ref):
    """A weak reference to a copy, with what is known of it.

    Attributes:
        ident: the identity of the copy.
        kind: its type.
        frame: identity of the frame of JAX that made it, which lives as long as the
            user's function runs, and takes its result apart.
        root: the copy of the argument that it is a part of.
        path: where it stands in the argument.
        transform: what is tracing, as users write it.
        line: where it was written last, if it was.
        value: the value that was read since, weakly.
        left: whether the user's function has returned.
        returned: whether it was returned or copied since it was written.
        whole: the same for the argument that this is the root of.
        out: whether its value stands in something other than the program.
        adopted: whether it is a part of an object that the function made of it.
        plain: the plain lists and dicts that were read of it, with what they held.
        read: where they were read.
        merged: whether `merge` made it, of captured state.
    """

    ident: int
    kind: type
    frame: int
    root: Copy | None = None
    path: tuple = ()
    transform = ""
    line: Origin | None = None
    value: Any = None
    plain: tuple[Content, ...] = ()
    read: Origin | None = None
    left = returned = whole = out = adopted = merged = False

    def is_lost(self) -> bool:
        """Whether it was written, and did not go out since.

        What is no part of the root any more, when that goes out, was replaced. A value
        that was read, and not looked for in time, may have gone out.
        """
        unknown = self.value is not None and not self.left
        out = self.returned or self.out or (self.root or self).whole or unknown
        return self.line is not None and not out

    def look(self) -> None:
        """Looks whether its value is on its way out: the result is there now."""
        self.look_at_plain()
        tracer = self.value and self.value()
        self.left = True
        self.out = tracer is not None and not used_in_equations_alone(tracer, self())

    def look_at_plain(self) -> None:
        """Notes an edit of a plain list or dict as a write."""
        if all([same_content(items, seen) for items, seen in self.plain]):
            return
        self.plain = tuple([(items, content_of(items)) for items, _ in self.plain])
        self.line, self.returned = self.line or self.read, False
        (self.root or self).whole = False


def note_copies(objects: Iterable[Any]) -> None:
    """Notes Variables or nodes that a pytree was rebuilt with just now."""
    if context.levels["lost"] == "off":
        return
    frame, kind = caller_of_trees()
    if kind == "call":
        for obj in objects:
            copy = Copy(obj, _died)
            copy.ident = ident = id(obj)
            copy.kind, copy.frame, copies[ident] = type(obj), frame, copy


def note_merged(made: Iterable[tuple[Any, tuple]]) -> None:
    """Notes Variables that `merge` made of those of another trace, with their paths."""
    frame = None if context.levels["lost"] == "off" else caller_of_function()
    if frame is None:
        return
    for obj, path in made:
        copies[id(obj)] = copy = Copy(obj, _died)
        copy.ident, copy.kind, copy.frame = id(obj), type(obj), frame
        copy.path, copy.merged = path, True


def note_out(objects: Iterable[Any]) -> None:
    """Notes objects that a transform of ours hands out of the function that it ran."""
    for obj in objects:
        copy = copies.get(id(obj))
        if copy is not None:
            copy.returned = True


def note_parts(root: Any, parts: Iterable[Any], paths: Iterable[tuple]) -> None:
    """Notes where the copies that make up an argument stand in it."""
    whole = copies.get(id(root))
    for part, path in zip(parts, paths, strict=True):
        copy = copies.get(id(part))
        if copy is not None:
            copy.root, copy.path = whole, path


def note_write(obj: Any) -> None:
    """Notes that a copy is about to be written."""
    copy = copies.get(id(obj))
    if copy is None or copy.adopted:
        return
    if copy.line is None:
        _follow(copy)
    copy.line, copy.returned, copy.value = here(), False, None
    (copy.root or copy).whole = False


def follow_plain(obj: Any, contents: list[Content]) -> None:
    """Has plain lists and dicts of a copy compared when its value goes out or ends."""
    copy = copies[id(obj)]
    known = {id(items) for items, _ in copy.plain}
    new = [content for content in contents if id(content[0]) not in known]
    if copy.adopted or not new:
        return
    if copy.line is None and not copy.plain:
        _follow(copy)
    copy.plain, copy.read = (*copy.plain, *new), here()


def note_adopted(obj: Any) -> None:
    """Notes that a copy becomes a part of a new object, which is the function's own."""
    copy = copies.get(id(obj))
    if copy is not None:
        copy.adopted = True


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
        if copy is None:
            continue
        if copy.merged or frame == copy.frame or kind == "user":
            copy.look_at_plain()
            copy.returned = copy.whole = True


def note_taken(nodes: Iterable[Any]) -> None:
    """Notes that the user took the state of these nodes out of them."""
    for node in nodes:
        copy = copies.get(id(node))
        if copy is not None:
            copy.look_at_plain()
            copy.returned = True


def _follow(copy: Copy) -> None:
    """Has what is written in this call looked at when it ends."""
    copy.transform = running_transform()[0]
    followed = written.get(copy.frame)
    if followed is not None:
        followed.append(copy)
    elif watch_call(
        copy.frame, partial(_left, copy.frame), partial(_ended, copy.frame)
    ):
        written[copy.frame] = [copy]


def _left(frame: int) -> None:
    """The user's function has returned: its result is not taken apart yet."""
    for copy in written.get(frame, ()):
        copy.look()
        copy.plain = ()  # it holds tracers, and nobody edits it any more


def _died(copy: Any) -> None:
    del copies[copy.ident]
    if copy.left:
        copy.look()  # again: what the function held of its own is gone as well


def _ended(frame: int, finished: bool) -> None:
    """JAX has taken the result apart: what did not go out by now never will."""
    for copy in written.pop(frame, ()):
        lost = finished and copy.is_lost()
        copy.left = False
        if lost:
            _tell(copy)


def _tell(copy: Copy) -> None:
    assert copy.line is not None
    if copy.merged and copy.transform.rpartition(".")[2] in _DERIVATIVES:
        return  # many a loss is run for its derivative alone, as in a line search
    kind, path = copy.kind.__name__, path_text(copy.path)
    try:
        name = f"{kind} `{path}`" if path else kind
        tell_lost(name, copy.transform, copy.line, copy.merged)
    except OakumWarning as error:
        postpone(error)
