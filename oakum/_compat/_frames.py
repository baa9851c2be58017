"""Frames of Python: who calls a function of ours, and when a call of JAX's ends."""

from __future__ import annotations

import dis
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import jax

# The functions of JAX that rebuild a user's arguments, call the user's function, and
# take its result apart, all in one frame.
_CALLERS = frozenset(
    {
        "_cached_shard_map.<locals>._fun",  # pmap
        "_flatten_fun_nokwargs",  # custom_vjp
        "_flatten_fwd",
        "f_wrapped",  # shard_map
        "flatten_fun",
        "flatten_fun_for_vmap",
        "flatten_fun_nokwargs",
        "jvp",
        "linearize",
        "trace_to_jaxpr_nocache",  # the same in jax 0.12
        "trace_to_jaxpr",  # jit, scan, cond, while_loop, checkpoint
    }
)
# Those of them that record a program to be run later.
_RECORDERS = ("trace_to_jaxpr", "trace_to_jaxpr_nocache")
_JAX = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep
_INTERPRETERS = os.path.join(_JAX, "_src", "interpreters", "")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_EQUINOX = f"{os.sep}equinox{os.sep}_"
# What puts the parts of an argument together, for the function that calls the user's.
_EQUINOX_TREES = tuple(f"{_EQUINOX}{n}.py" for n in ("filters", "compile_utils"))
_TREES = tuple(f"{os.sep}{n}.py" for n in ("tree_util", "tree", "flattree"))


class _Places(dict):
    """Whose each file is, by its name."""

    def __missing__(self, filename: str) -> str:
        place = "jax" if filename.startswith(_JAX) else "user"
        if _EQUINOX in filename:
            place = "equinox"
        if filename.startswith(_PACKAGE):
            place = "oakum"
        elif filename.endswith((*_TREES, *_EQUINOX_TREES)):
            place = "trees"
        self[filename] = place
        return place


_PLACES = _Places()


def caller_of_trees() -> tuple[int, str]:
    """Who takes a pytree apart, or rebuilds it, at this moment.

    Returns:
        The identity of the frame, and what it is: "call", one of JAX's that calls a
        user's function on a rebuilt copy of its arguments; "jax", another of JAX's;
        "user", any other.
    """
    frame = _outside_package()
    while frame is not None and _PLACES[frame.f_code.co_filename] == "trees":
        frame = frame.f_back
    place = "user" if frame is None else _PLACES[frame.f_code.co_filename]
    if frame is not None and place == "equinox":  # its filtered transforms
        return id(frame), "call"
    if frame is None or place != "jax":
        return id(frame), "user"
    return id(frame), "call" if _calls(frame.f_code) else "jax"


def caller_of_function() -> int | None:
    """Identity of the innermost frame of JAX that calls a user's function to trace it.

    Returns:
        None where that cannot be told.
    """
    for frame in _callers():
        code = frame.f_code
        if _PLACES[code.co_filename] == "jax" and _calls(code):
            return id(frame)
    return None


def _calls(code: CodeType) -> bool:
    """Whether a function of JAX's is one that calls a user's."""
    if code.co_qualname.startswith("argnums_partial"):  # its inner one is `f_wrapped`
        return False
    return code.co_name in _CALLERS or code.co_qualname in _CALLERS


def caller_of_program() -> int | None:
    """Identity of the innermost frame of JAX that has a user's function recorded.

    Returns:
        None where that cannot be told.
    """
    for frame in _callers():
        code = frame.f_code
        if code.co_name in _RECORDERS and code.co_filename.startswith(_INTERPRETERS):
            return id(frame)
    return None


def asks_for_structure() -> bool:
    """Whether a pytree is taken apart for its structure alone, not for its leaves."""
    frame = _outside_package()
    while frame is not None and _PLACES[frame.f_code.co_filename] == "trees":
        if frame.f_code.co_name == "tree_structure":
            return True
        frame = frame.f_back
    return False


def locals_of_callers(folder: str) -> Iterator[dict[str, Any]]:
    """The local variables of the frames that run code of a folder, innermost first.

    Args:
        folder: the folder, as a path that ends in a separator.
    """
    for frame in _callers():
        if frame.f_code.co_filename.startswith(folder):
            yield frame.f_locals


def takes_result_apart() -> bool:
    """Whether JAX takes apart what a function returned, after it has left its trace.

    Forward mode does: the values are then tracers of a trace that runs no more, and
    are about to be replaced by what they stand for.
    """
    frame = _outside_package()
    while frame is not None and _PLACES[frame.f_code.co_filename] == "trees":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_INTERPRETERS)


def _callers() -> Iterator[FrameType]:
    """The frames that wait for this one, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outside_package() -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _PLACES[frame.f_code.co_filename] == "oakum":
        frame = frame.f_back
    return frame


class _End:
    """Is told when a frame ends: hangs on it as what a debugger would trace it by.

    That is the one place of a frame that keeps an object of others and lets it go with
    the frame. Nothing calls it but a debugger; one that was there before still runs.
    """

    __slots__ = ("notify", "tracer")

    def __init__(self, frame: FrameType, notify: Callable[[FrameType], None]):
        self.notify = notify
        self.tracer: Any = frame.f_trace
        frame.f_trace = self

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.tracer is not None:
            self.tracer = self.tracer(frame, event, arg)
        return self

    def __del__(self) -> None:
        top = sys._getframe().f_back
        if top is not None:  # else the interpreter ends
            self.notify(top)


def watch_call(
    caller: int, left: Callable[[], None], ended: Callable[[bool], None]
) -> bool:
    """Watches a call of a user's function that is running in this thread.

    A function that keeps an exception it caught keeps its own frame by the traceback,
    and JAX's by that, until the garbage collector comes by. Whether it returned is then
    read off the frame of JAX that called it.

    Args:
        caller: identity of the frame that called it, as `caller_of_trees` gives it.
        left: called when the function has returned, while its result is alive; not
            called where its frame lives on.
        ended: called when the frame that called it ends, with whether it returned.

    Returns:
        Whether the call was found.
    """
    frame: FrameType | None = sys._getframe(1)
    called = None
    while frame is not None and id(frame) != caller:
        called, frame = frame, frame.f_back
    if frame is None or called is None:
        return False
    above = id(frame.f_back)

    def on_return(top: FrameType) -> None:
        if top is frame:
            left()
        if top is frame or any(f is frame for f, _ in traceback.walk_stack(top)):
            _End(frame, lambda top: ended(id(top) == above))
        else:
            ended(_has_returned(frame))

    _End(called, on_return)
    return True


def _has_returned(frame: FrameType) -> bool:
    """Whether a frame that has ended did so by a return, not by an exception."""
    instruction = frame.f_code.co_code[frame.f_lasti]
    return dis.opname[instruction].startswith("RETURN_")
