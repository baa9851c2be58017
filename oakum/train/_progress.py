"""The progress bar of a training run, and the line that each epoch leaves behind.

On a terminal a bar moves with the batches of the epoch; elsewhere there are only the
lines. The values shown may be arrays that are still being computed: they are fetched
when the bar is drawn, a few times a second, so that the loop never waits for them.
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
    """A bar on standard output, for one epoch after the other."""

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
        self._drawn_at = 0.0
        self._drawn_step = 0
        self._speed: float | None = None

    def open(self) -> None:
        """Starts drawing."""
        self._bar.start()

    def close(self) -> None:
        """Stops drawing and takes the bar away."""
        self._bar.stop()

    def begin(self, title: str, done: int, total: int) -> None:
        """Begins an epoch of which `done` batches are behind us."""
        self._bar.reset(self._task, description=title, completed=done, total=total)
        self._drawn_at = time.perf_counter()
        self._drawn_step = done

    def is_due(self) -> bool:
        """Whether it is time to draw again."""
        return time.perf_counter() - self._drawn_at > _SECONDS_BETWEEN_DRAWINGS

    def draw(self, done: int, values: Mapping[str, Any]) -> None:
        """Draws the bar after `done` batches of the epoch."""
        measures = format_values(values)  # waits for the values, so before the clock
        now = time.perf_counter()
        speed = (done - self._drawn_step) / (now - self._drawn_at)
        if self._speed is not None:
            speed = _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        self._speed, self._drawn_at, self._drawn_step = speed, now, done
        text = f"{measures}  {speed:.0f} steps/s"
        self._bar.update(self._task, completed=done, text=text.strip())

    def print(self, line: str) -> None:
        """Prints a line above the bar."""
        self._bar.console.print(line, markup=False, soft_wrap=True)
