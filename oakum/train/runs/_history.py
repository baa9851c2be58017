"""What a training run measures: values by step, their means, rows, the best of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ...errors import ArgumentError

Row = dict[str, float]


class Means:
    """Means of measures whose values may still be being computed.

    Args:
        kept: what `to_dict` gave, to go on from there.
    """

    def __init__(self, kept: Mapping[str, list[float]] | None = None):
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._news: list[tuple[int, Row]] = []
        self._sums = {name: (total, n) for name, (total, n) in (kept or {}).items()}

    def add(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Adds a value to each measure, without waiting for it."""
        self._pending.append((step, dict(values)))

    def fetch(self) -> Row:
        """Waits for the values added since the last call, and gives their means."""
        recent: dict[str, list[float]] = {}
        for step, values in jax.device_get(self._pending):
            row = {name: float(value) for name, value in values.items()}
            self._news.append((step, row))
            # One by one: the same bits, however often the values are fetched.
            for name, number in row.items():
                recent.setdefault(name, []).append(number)
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + number, count + 1)
        self._pending = []
        return {name: sum(found) / len(found) for name, found in recent.items()}

    def news(self) -> list[tuple[int, Row]]:
        """The values of each step that were fetched since the last call."""
        news, self._news = self._news, []
        return news

    def of_all(self) -> Row:
        """Gives the mean of all values of each measure."""
        self.fetch()
        return {name: total / count for name, (total, count) in self._sums.items()}

    def clear(self) -> None:
        """Begins anew."""
        self.fetch()
        self._sums = {}

    def to_dict(self) -> dict[str, list[float]]:
        """Gives sums and counts in a form that JSON can hold."""
        self.fetch()
        return {name: [total, count] for name, (total, count) in self._sums.items()}


class Best:
    """Which record of a run is the best.

    Args:
        measure: the measure that decides; None where nothing does.
        higher: whether more is better; by default that of a measure whose name ends in
            `accuracy`.
    """

    def __init__(self, measure: str | None, higher: bool | None = None):
        self.measure = measure
        self._higher = is_share(measure or "") if higher is None else higher

    def of(self, history: Sequence[Row]) -> Row | None:
        """The best row, the first of equals; None where no row has a number."""
        best = None
        for row in history:
            value = row.get(self.measure or "", math.nan)
            if math.isfinite(value) and (best is None or self._is_better(value, best)):
                best = row
        return best

    def check(self, row: Row) -> None:
        """Raises where a record lacks the measure that decides."""
        if self.measure is not None and self.measure not in row:
            raise ArgumentError(
                f"the best record is that of {self.measure!r}, and this one has "
                f"{', '.join(row)}",
                remedy=f"run.record({self.measure}=...), or Run(best=...) with another "
                "measure.",
            )

    def _is_better(self, value: float, best: Row) -> bool:
        old = best[self.measure or ""]
        return value > old if self._higher else value < old


def rows_until(history: Sequence[Row], epoch: int, step: int) -> list[Row]:
    """The rows up to an epoch, or a step where these are counted."""
    return [
        row
        for row in history
        if (row["epoch"] <= epoch if "epoch" in row else row["step"] <= step)
    ]


def is_share(name: str) -> bool:
    """Whether a measure is a share of the whole, shown in percent; more is better."""
    return name.endswith("accuracy")
