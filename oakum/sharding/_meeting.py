"""Where the processes of one program meet: each says something, and hears all.

With `jax.distributed` each process runs the whole program, and they have to come to the
same calls in the same order. One that comes to another call, or not at all, is told of
here, before the others wait for it in a computation that it takes no part in.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from types import TracebackType
from typing import Any

import jax

from .._compat._processes import Absent, exchange, take_leave
from ..errors import ProcessesError

# What others may be busy with before they come: compiling, or writing a large file.
WAIT_SECONDS = 600.0


def meet(verb: str, message: str = "", seconds: float | None = None) -> list[str]:
    """The messages of all processes, in their order; all of them call it.

    Args:
        verb: what is done, the same in all.
        message: what this process has to say.
        seconds: how long to wait for the others, by default `WAIT_SECONDS`.

    Raises:
        ProcessesError: others do something else, or do not come.
    """
    if jax.process_count() == 1:
        return [message]
    _end_at_failures()
    limit = WAIT_SECONDS if seconds is None else seconds
    try:
        said = exchange(f"{verb}\0{message}".encode(), limit)
    except Absent as error:
        raise _absence(verb, error, limit) from None
    pairs = [text.decode(errors="replace").split("\0", 1) for text in said]
    own = jax.process_index()
    for number, (other, _) in enumerate(pairs):
        if other != verb:
            raise ProcessesError(
                f"process {own} came to {verb}, and process {number} to {other}",
                remedy=_REMEDY.format(verb),
            )
    return [text for _, text in pairs]


_REMEDY = (
    "all processes call {}, in the same order, with the same objects: not below `if "
    "jax.process_index() == 0`. It is process 0 alone that writes all the same."
)


def _absence(verb: str, error: Absent, limit: float) -> ProcessesError:
    for process, why in error.left.items():
        return ProcessesError(
            f"{verb}: process {process} has ended, so nothing was done: {why}",
            remedy="mend it there, and start all processes again; its own output says "
            "where it failed.",
        )
    absent = sorted(set(range(jax.process_count())) - set(error.came))
    return ProcessesError(
        f"{verb}: of {jax.process_count()} processes {absent} did not come within "
        f"{limit:g} s, so nothing was done",
        remedy=_REMEDY.format(verb),
    )


def wait_for(verb: str, array: Any) -> None:
    """Waits until an array is there that all processes compute together.

    Raises:
        ProcessesError: it is not there after `WAIT_SECONDS`.
    """
    end, pause = time.perf_counter() + WAIT_SECONDS, 1e-4
    while jax.process_count() > 1 and not array.is_ready():
        if time.perf_counter() > end:
            raise ProcessesError(
                f"{verb}: an array that all processes compute is not there after "
                f"{WAIT_SECONDS:g} s: one of them has stopped, or computes another one",
                remedy=_REMEDY.format(verb),
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def exchange_briefly(channel: str, message: str, seconds: float) -> list[str]:
    """As `meet`, where some may not come: then nothing was said."""
    if jax.process_count() == 1:
        return [message]
    try:
        said = exchange(message.encode(), seconds, channel)
    except Absent:
        return []
    return [text.decode(errors="replace") for text in said]


def end_at_once(error: BaseException, code: int = 1) -> None:
    """Ends this process for an error that was printed, after the others were told.

    At a proper end it would wait for the others, and they for it.
    """
    if jax.process_count() > 1:
        take_leave(f"{type(error).__name__}: {error}"[:_LENGTH].encode(), _LEAVE)
        if jax.process_index() == 0:  # with it those end at once that are still there
            time.sleep(_LEAVE)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


_LENGTH = 500  # characters of an error that the others get
_LEAVE = 1.0  # seconds


@functools.cache
def _end_at_failures() -> None:
    """From now on an error that nobody catches ends this process at once.

    Python would run what is to be done at a proper end, and JAX wait for the others
    there, for minutes.
    """
    before = sys.excepthook

    def hook(
        kind: type[BaseException],
        error: BaseException,
        traceback: TracebackType | None,
    ) -> None:
        before(kind, error, traceback)
        if not (hasattr(sys, "ps1") or sys.flags.interactive):
            end_at_once(error, 130 if isinstance(error, KeyboardInterrupt) else 1)

    sys.excepthook = hook
