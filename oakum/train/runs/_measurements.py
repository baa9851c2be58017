"""What a run measures, and where that goes: means, history, loggers, the watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from ...errors import ArgumentError
from ..checkpoint._processes import of_the_first
from ._history import Best, Means, Row, rows_until
from ._loggers import Logger, make_loggers
from ._nonfinite import Watch


class Measurements:
    """The measures of a run: of its steps, and the rows of its history.

    Args:
        best: the measure by which a row is the best.
        higher: whether more of it is better.
        watch: the logged measure that must stay finite.
        loggers: as given to the run.

    Attributes:
        history: a row for each record.
        means: what was logged in this epoch.
        best: which row is the best.
        watch: what must stay finite.
    """

    def __init__(
        self,
        best: str | None,
        higher: bool | None,
        watch: str | None,
        loggers: Sequence[Logger | str],
    ):
        for option, value in (("best", best), ("watch", watch)):
            if not isinstance(value, str | None):
                raise ArgumentError(
                    f"{option}= of a Run names a measure, and is given a "
                    f"{type(value).__name__}",
                    remedy=f"{option}='valid_loss'; or, where it is an object to save, "
                    "pass it under another name.",
                )
        self.history: list[Row] = []
        self.means = Means()
        self.best, self.watch = Best(best, higher), Watch(watch)
        self._given, self._loggers = loggers, []

    def open(self, folder: Path, *, anew: bool) -> None:
        """Makes the loggers.

        Args:
            folder: of those that are given by a word.
            anew: whether what such a one has from an older run goes.
        """
        self._loggers = make_loggers(self._given, folder, anew=anew)

    def close(self) -> None:
        """Closes the loggers."""
        for logger in self._loggers:
            logger.close()

    def fetch(
        self, objects: Mapping[str, Any], checkpoint: str, *, agreed: bool
    ) -> None:
        """Hands on what was logged and is computed by now.

        Args:
            objects: of these the Params are looked at where a measure is not finite.
            checkpoint: what is said of the last one.
            agreed: whether all processes are at this place, so that all may raise.
        """
        self.means.fetch()
        news = self.means.news()
        for step, values in news:
            self._log(step, values)
        self.watch.look(news)
        if agreed or jax.process_count() == 1:
            self.watch.check(objects, checkpoint)

    def numbers(self, values: Mapping[str, Any]) -> Row:
        """The means and these values, in all processes those of the first.

        Raises:
            ArgumentError: the measure is missing by which the best is kept.
        """
        given = {name: float(value) for name, value in values.items()}
        numbers = of_the_first("Run.record", self.means.of_all() | given)
        self.best.check(numbers)
        return numbers

    def row(self, numbers: Row, epoch: int, step: int, *, by_epochs: bool) -> Row:
        """The next row of the history, which is cut to what comes before it."""
        # A loop that was left after the record comes here a second time.
        self.history = rows_until(self.history, epoch, step - 1)
        if by_epochs:
            return {"epoch": epoch + 1, "step": step, **numbers}
        self.means.clear()
        return {"step": step, **numbers}

    def is_best(self, row: Row) -> bool:
        """Whether a row is better than the history."""
        return self.best.of([*self.history, row]) is row

    def append(self, row: Row, numbers: Row) -> None:
        """Adds a row, and tells the loggers."""
        self.history.append(row)
        self._log(int(row["step"]), numbers)

    def _log(self, step: int, values: Row) -> None:
        for logger in self._loggers:
            logger.log(step, values)
