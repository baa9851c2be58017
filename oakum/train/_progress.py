"""The progress bar of a training run, and the line that each epoch leaves behind.

On a terminal a bar moves with the steps of the run; elsewhere there are only the lines.
The values shown may be arrays that are still being computed: they are fetched when the
bar is drawn, a few times a second, so that the loop does not wait for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ._extras import require

_SECONDS_BETWEEN_DRAWINGS = 0.1
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


def is_share(name: str) -> bool:
    """Whether a measure is a share of the whole, to be shown in percent."""
    return name.endswith("accuracy")


class ProgressBar:
    """A bar on standard output, over all steps of a run."""

    def __init__(self) -> None:
        rich = require("rich.progress")
        console = require("rich.console").Console(highlight=False)
        self._bar = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[text]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, text="")
        self._drawn_at: float | None = None
        self._drawn_step = 0
        self._speed: float | None = None

    def open(self) -> None:
        """Starts drawing."""
        self._bar.start()

    def close(self) -> None:
        """Stops drawing and takes the bar away."""
        self._bar.stop()

    def begin(self, title: str, done: int, total: int) -> None:
        """Begins or goes on after `done` of `total` steps, under another title."""
        self._bar.update(self._task, description=title, completed=done, total=total)
        if self._drawn_at is None:
            self._drawn_at, self._drawn_step = time.perf_counter(), done

    def is_due(self) -> bool:
        """Whether it is time to draw again."""
        return self._seconds() > _SECONDS_BETWEEN_DRAWINGS

    def draw(self, done: int, values: Mapping[str, Any]) -> None:
        """Draws the bar after `done` steps."""
        measures = format_values(values)  # waits for the values, so before the clock
        speed = (done - self._drawn_step) / self._seconds()
        if self._speed is not None:
            speed = _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        self._speed, self._drawn_step = speed, done
        self._drawn_at = time.perf_counter()
        text = f"{measures}  {speed:.0f} steps/s"
        self._bar.update(self._task, completed=done, text=text.strip())

    def _seconds(self) -> float:
        """The time since the bar was drawn, or begun."""
        now = time.perf_counter()
        return now - (now if self._drawn_at is None else self._drawn_at)

    def print(self, line: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(line, markup=False, soft_wrap=True)
