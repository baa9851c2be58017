"""The progress bar of a training run, and the line that each epoch leaves behind.

In a notebook a bar moves with the steps of the run, and on a terminal where rich is
installed; elsewhere a line tells every so often how far the run is and when it ends.
The values shown may be arrays that are still being computed: they are fetched when the
bar is drawn, so that the loop does not wait for each of them.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from typing import Any

from ...errors import MissingExtraError
from .._extras import require
from ._history import is_share

_SECONDS_BETWEEN_DRAWINGS = 0.1
_SECONDS_BETWEEN_LINES = 10.0
_SMOOTHING = 0.7  # how much of the last speed stays in the one that is shown


def format_values(values: Mapping[str, Any]) -> str:
    """Formats measures for people, shares last: `loss 0.0312  accuracy 98.7%`."""
    return "  ".join(
        f"{name.replace('_', ' ')} {_format_value(name, float(values[name]))}"
        for name in sorted(values, key=is_share)
    )


def _format_value(name: str, value: float) -> str:
    if is_share(name):
        return f"{value:6.1%}"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.4g}"


def format_speed(speed: float) -> str:
    """Formats a speed: `3.1 steps/s`."""
    return f"{speed:.0f} steps/s" if speed >= 10 else f"{speed:.2g} steps/s"


def format_seconds(seconds: float) -> str:
    """Formats a time that is to come: `0:07`, `1:02:33`."""
    minutes, rest = divmod(round(min(seconds, 359999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """How far a run is, in plain lines: one every so often, and what it is told.

    Attributes:
        seconds_between: how long it waits between two drawings.
    """

    seconds_between = _SECONDS_BETWEEN_LINES

    def __init__(self) -> None:
        self._title = ""
        self._total: int | None = None
        self._drawn_at: float | None = None
        self._drawn_step = 0
        self._speed: float | None = None
        self._is_first = True  # the first step compiles, and tells no speed

    def open(self) -> None:
        """Starts drawing."""

    def close(self) -> None:
        """Stops drawing."""

    def begin(self, title: str, done: int, total: int | None) -> None:
        """Begins or goes on after `done` of `total` steps, under another title.

        Args:
            title: what stands before the count.
            done: how many steps are done.
            total: how many there will be, None where nobody knows.
        """
        self._title, self._total = title, total
        if self._drawn_at is None:
            self._drawn_at, self._drawn_step = time.perf_counter(), done

    def is_due(self, done: int) -> bool:
        """Whether it is time to draw again, asked after each step."""
        is_due = self._seconds() > self.seconds_between
        if self._is_first and not is_due:
            self._time_from(done)
        return is_due

    def draw(self, done: int, values: Mapping[str, Any]) -> None:
        """Draws how far the run is after `done` steps."""
        measures = format_values(values)  # waits for the values, so before the clock
        if self._is_first:
            self._time_from(done)
            self.show(done, measures)
            return
        speed = (done - self._drawn_step) / self._seconds()
        if self._speed is not None:
            speed = _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        self._speed = speed
        self._time_from(done)
        left = None if self._total is None else (self._total - done) / max(speed, 1e-9)
        ends = [] if left is None else [f"{format_seconds(left)} left"]
        self.show(done, "  ".join([measures, f"{format_speed(speed)}", *ends]).strip())

    def show(self, done: int, text: str) -> None:
        """Shows the count and a text."""
        total = "" if self._total is None else f"/{self._total}"
        self.print(f"{self._title}  {done}{total}  {text}".rstrip())

    def print(self, line: str) -> None:
        """Prints a line that stays."""
        print(line, flush=True)

    def _time_from(self, done: int) -> None:
        self._drawn_at, self._drawn_step = time.perf_counter(), done
        self._is_first = False

    def _seconds(self) -> float:
        """The time since it was drawn, or begun."""
        now = time.perf_counter()
        return now - (now if self._drawn_at is None else self._drawn_at)


class Silent(Progress):
    """No progress: another process shows it."""

    def is_due(self, done: int) -> bool:
        return False

    def print(self, line: str) -> None:
        """Drops the line."""


class ProgressBar(Progress):
    """A bar of rich's, on a terminal."""

    seconds_between = _SECONDS_BETWEEN_DRAWINGS

    def __init__(self, console: Any) -> None:
        super().__init__()
        rich = require("rich.progress")
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[text]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, text="")

    def open(self) -> None:
        self._bar.start()

    def close(self) -> None:
        self._bar.stop()

    def begin(self, title: str, done: int, total: int | None) -> None:
        super().begin(title, done, total)
        self._bar.update(self._task, description=title, completed=done, total=total)

    def show(self, done: int, text: str) -> None:
        self._bar.update(self._task, completed=done, text=text)

    def print(self, line: str) -> None:
        self._bar.console.print(line, markup=False, soft_wrap=True)


class NotebookBar(Progress):
    """A bar in the output of a notebook's cell, which needs no widgets.

    Args:
        display: the module `IPython.display`.
    """

    seconds_between = 2 * _SECONDS_BETWEEN_DRAWINGS

    def __init__(self, display: Any) -> None:
        super().__init__()
        self._display = display
        self._handle: Any = None

    def open(self) -> None:
        self._handle = self._display.display(self._display.HTML(""), display_id=True)

    def close(self) -> None:
        self._handle.update(self._display.HTML(""))

    def show(self, done: int, text: str) -> None:
        bar = "<progress></progress>"
        if self._total is not None:
            bar = f'<progress value="{done}" max="{self._total}"></progress>'
        total = "" if self._total is None else f"/{self._total}"
        line = html.escape(f"{done}{total}  {text}")
        shown = f"<pre>{html.escape(self._title)}  {bar}  {line}</pre>"
        self._handle.update(self._display.HTML(shown))


def make_progress() -> Progress:
    """A bar where somebody looks at it and it can be drawn, else plain lines."""
    if _is_notebook():
        return NotebookBar(require("IPython.display"))
    try:
        console = require("rich.console").Console(highlight=False)
    except MissingExtraError:
        return Progress()
    return ProgressBar(console) if console.is_terminal else Progress()


def _is_notebook() -> bool:
    """Whether a kernel runs this program, and not IPython on a terminal."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None
