"""Where a run's batches come from: arrays that are cut, or an iterable of batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ....errors import ArgumentError, CheckpointError
from ._feed import put_back


class Batches(NamedTuple):
    """A source of batches.

    Attributes:
        data: what the user gave.
        order: what decides the order, to be compared when a run is resumed.
        total: how many batches an epoch has, None where nobody knows.
        goes_on: whether an epoch begins where the last one ended.
        size: rows in a batch, where arrays are cut.
        seed: what their order follows from, with the epoch.
    """

    data: Any
    order: dict[str, Any]
    total: int | None
    goes_on: bool = False
    size: int = 0
    seed: int = 0

    def continue_from(self, order: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Its order, which has to be that of before, where there was one.

        Raises:
            CheckpointError: it is another.
        """
        if order and order != self.order:
            raise CheckpointError(
                f"this run drew its batches with {_assignments(order)} before, not "
                f"{_assignments(self.order)}",
                where=str(folder),
                remedy="give the same size and seed in each epoch, which has an order "
                "of its own all the same, and resume a run as it was started; or "
                "start another run",
            )
        return self.order

    def begin(
        self, epoch: int, skipped: int, states: list[Any] | None
    ) -> tuple[Any, str]:
        """The batches of an epoch but for the first ones, and how these were left out.

        Args:
            epoch: its number.
            skipped: how many are left out.
            states: of a loader that tells its place, where these are known.

        Returns:
            An iterator; and "order" where they follow from a seed, "state" where the
            loader was put back to its place, "count" where they were drawn.
        """
        if self.size:
            return self._cut(epoch, skipped), "order"
        found = iter(self.data)
        if skipped and states and put_back(found, states):
            return found, "state"
        next(itertools.islice(found, skipped, skipped), None)
        return found, "count"

    def _cut(self, epoch: int, skipped: int) -> Iterator[tuple[np.ndarray, ...]]:
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data[0]))
        for batch in range(skipped, self.total or 0):
            rows = order[batch * self.size : (batch + 1) * self.size]
            yield tuple([array[rows] for array in self.data])


def _assignments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def make_batches(data: Any, size: int | None, seed: int | None) -> Batches:
    """A source of batches of what a user gave.

    Raises:
        ArgumentError: it is neither arrays with `size` and `seed`, nor an iterable.
    """
    if isinstance(data, tuple | list) and all(hasattr(a, "shape") for a in data):
        return _of_arrays(data, size, seed)
    if size is not None or seed is not None:
        raise ArgumentError(
            f"batches: size and seed are for arrays, and a {type(data).__name__} "
            "gives its own batches",
            remedy="run.batches(loader), or run.batches((x, y), size=64, seed=0).",
        )
    if not isinstance(data, Iterable):
        raise ArgumentError(
            f"batches: a {type(data).__name__} is neither a tuple of arrays nor an "
            "iterable of batches",
            remedy="run.batches((x, y), size=64, seed=0), or run.batches(loader).",
        )
    goes_on = iter(data) is data
    try:
        total = None if goes_on else len(data)  # type: ignore[arg-type]
    except TypeError:
        total = None
    return Batches(data, {"batches of": type(data).__name__}, total, goes_on)


def _of_arrays(data: Any, size: int | None, seed: int | None) -> Batches:
    if size is None or seed is None:
        raise ArgumentError(
            "batches: arrays are cut into batches, and "
            f"{'size' if size is None else 'seed'} is missing",
            remedy="run.batches((x, y), size=64, seed=0).",
        )
    arrays = [np.asarray(array) for array in data]
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1 or size < 1 or lengths[0] < size:
        raise ArgumentError(
            f"batches of {size} rows cannot be cut from arrays of lengths {lengths}",
            remedy="pass arrays of one length, and a size that is not above it",
        )
    order = {"rows": lengths[0], "size": size, "seed": seed}
    return Batches(arrays, order, lengths[0] // size, size=size, seed=seed)
