"""Ctrl-C in a run: the first is a wish, asked for between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import jax

from ..checkpoint._processes import agree

# Several processes wait for each other, and for their devices, to agree on a stop.
STEPS_BETWEEN_QUESTIONS = 32

# A program that starts this one (`oakum launch`, `uv run`) hands Ctrl-C on, though the
# terminal sends it to both: two that come so close are one.
_ONE_PRESS = 0.3  # seconds


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, and the run was saved at the end of the step."""


class Interrupt:
    """Turns the first Ctrl-C into a wish that the loop asks for between two steps."""

    def __init__(self) -> None:
        self.wished = False
        self._pressed: float | None = None
        self._old: Any = None

    def catch(self) -> None:
        """Takes the signal over."""
        # Only the main thread may set handlers, and only it gets the signal.
        if threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGINT, self._handle)

    def release(self) -> None:
        """Gives the signal back."""
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """A block after which the signal is given back."""
        try:
            yield
        finally:
            self.release()

    def check(self, step: int = 0) -> None:
        """Raises where Ctrl-C was pressed, in all processes at the same step."""
        if not is_question(step):
            return
        self.wished = agree("Run", self.wished)
        if self.wished:
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._pressed is None:
            self.wished, self._pressed = True, now
        elif now > self._pressed + _ONE_PRESS:
            self.release()
            signal.raise_signal(signal.SIGINT)


def is_question(step: int) -> bool:
    """Whether the processes ask each other at this step; one asks itself always."""
    return jax.process_count() == 1 or step % STEPS_BETWEEN_QUESTIONS == 0
