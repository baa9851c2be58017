"""What a training run measures: means over an epoch, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Means:
    """Means of measures whose values may still be being computed.

    Args:
        kept: what `to_dict` gave, to go on from there.
    """

    def __init__(self, kept: Mapping[str, list[float]] | None = None):
        self._pending: dict[str, list[Any]] = {}
        self._sums = {name: (total, n) for name, (total, n) in (kept or {}).items()}

    def add(self, values: Mapping[str, Any]) -> None:
        """Adds a value to each measure, without waiting for it."""
        for name, value in values.items():
            self._pending.setdefault(name, []).append(value)

    def fetch(self) -> dict[str, float]:
        """Waits for the values added since the last call, and gives their means."""
        means = {}
        for name, values in self._pending.items():
            numbers = [float(value) for value in values]
            total, count = self._sums.get(name, (0.0, 0))
            means[name] = sum(numbers) / len(numbers)
            # One by one: the same bits, however often the values are fetched.
            for number in numbers:
                total += number
            self._sums[name] = (total, count + len(numbers))
        self._pending = {}
        return means

    def of_all(self) -> dict[str, float]:
        """Gives the mean of all values of each measure."""
        self.fetch()
        return {name: total / count for name, (total, count) in self._sums.items()}

    def to_dict(self) -> dict[str, list[float]]:
        """Gives sums and counts in a form that JSON can hold."""
        self.fetch()
        return {name: [total, count] for name, (total, count) in self._sums.items()}


def write_json(path: Path, value: Any) -> None:
    """Writes a file that is either the old one or all of the new one."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1), "utf-8")
    new.replace(path)
