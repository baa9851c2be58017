"""What a run is fed by: the batches of now, and the place in a loader to go on from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ....errors import ArgumentValueError
from ._ahead import Feed, in_step
from ._batches import Batches
from ._feed import preparing, states_of

AHEAD = 2
_SAYS = {
    "state": "resumed at step {step}: the loader is back where it was",
    "count": "resumed at step {step}: {skipped} batches of the loader were passed over",
}


class Input:
    """The batches that a run hands out.

    Attributes:
        states: of the loader in all processes, which the run is to go on with.
        resumes: whether the next batches are the first of a resumed run.
        resumed_by: how a resumed run found its place among the batches.
    """

    def __init__(self) -> None:
        self.states: list[Any] | None = None
        self.resumes = False
        self.resumed_by: str | None = None
        self._feed: Feed | None = None
        self._streams: list[tuple[Any, Feed]] = []
        self._times = (0.0, 0.0)  # when it began and ended

    def open(
        self,
        source: Batches,
        place: tuple[int, int, int],
        sharding: Any,
        ahead: int | None,
    ) -> str | None:
        """Goes to the place (epoch, batch, step) of a source.

        Returns:
            What to say of it, where the run is resumed with a loader.

        Raises:
            ArgumentValueError: `ahead` is negative.
        """
        ahead = _ahead_of(source, sharding, ahead)
        known = [feed for data, feed in self._streams if data is source.data]
        states, self.states = self.states, None
        if known and source.goes_on:
            self._feed = known[0]
            return None
        epoch, batch, step = place
        skipped = step if source.goes_on else batch
        iterator, how = source.begin(epoch, skipped, states)
        is_copied = bool(ahead) and not source.size
        prepare = preparing(sharding, bool(source.size), is_copied)
        self._feed = Feed(iterator, prepare, ahead)
        if source.goes_on:
            self._streams.append((source.data, self._feed))
        if not (self.resumes and skipped):
            return None
        self.resumes, self.resumed_by = False, how
        return _SAYS.get(how, "").format(step=step, skipped=skipped) or None

    def batches(self, alone: bool, most: int | None) -> Iterator[Any]:
        """The batches, as long as those of all processes have one.

        Args:
            alone: whether the others are not to be asked, as they have the same.
            most: how many are needed.
        """
        feed = self._feed
        assert feed is not None
        self._times = (time.perf_counter(), 0.0)
        feed.waited = 0.0
        feed.begin(most)
        try:
            yield from in_step(feed, alone)
        finally:
            feed.stop()
            self._times = (self._times[0], time.perf_counter())

    @property
    def wait(self) -> float:
        """The share of the time in which the loop waited for batches."""
        began, ended = self._times
        if self._feed is None:
            return 0.0
        return self._feed.waited / max((ended or time.perf_counter()) - began, 1e-9)

    def states_now(self) -> list[Any] | None:
        """The states of the loader in all processes, who all call it."""
        return states_of(self._feed and self._feed.state)

    def close(self) -> None:
        """Ends what draws batches."""
        if self._feed is not None:
            self._feed.stop()


def _ahead_of(source: Batches, sharding: Any, ahead: int | None) -> int:
    """How many batches are prepared ahead, where `None` leaves it to us."""
    if ahead is None:
        # What an iterator gives may be read elsewhere too, and a loader be told
        # between two batches what comes next.
        is_ours = source.size or (sharding is not None and not source.goes_on)
        return AHEAD if is_ours else 0
    if ahead < 0:
        raise ArgumentValueError(
            f"batches: ahead={ahead}", remedy="0 for none, or a number above it."
        )
    return ahead
