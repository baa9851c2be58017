"""Batches that are drawn, and moved to their devices, ahead of the loop.

    feed = Feed(iterator, prepare, ahead=2)
    feed.begin()
    feed.take()

A thread draws them while the step runs. It never has more than `ahead` that the loop
has not taken, so that what an iterator gives is not lost to who reads on from it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from ....errors import ProcessesError
from ....sharding._meeting import meet
from ._feed import state_of

_VERB = "the next batch of a Run"


class Drawn(NamedTuple):
    """A batch, or the end.

    Attributes:
        batch: as the loop gets it.
        state: of its iterator thereafter, where that tells it.
        error: what ended the batches: StopIteration, or what the iterator raised.
    """

    batch: Any = None
    state: str | None = None
    error: BaseException | None = None


class Feed:
    """The batches of an iterator, some of them drawn before they are asked for.

    Args:
        iterator: gives batches.
        prepare: what is done to each, such as to move it to the devices.
        ahead: how many are drawn before they are asked for; 0 has no thread.

    Attributes:
        state: of the iterator, after the batches that were taken.
        waited: seconds that the loop has waited for batches.
    """

    def __init__(self, iterator: Any, prepare: Callable[[Any], Any], ahead: int = 0):
        self._iterator, self._prepare, self._ahead = iterator, prepare, ahead
        self._ready: deque[Drawn] = deque()
        self._left: int | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self.state = state_of(iterator)
        self.waited = 0.0

    def begin(self, most: int | None = None) -> None:
        """Begins to draw, at most so many."""
        if self._ahead:
            self._left = None if most is None else max(0, most - len(self._ready))
            self._stopped = False
            contexts = _contexts()
            self._thread = threading.Thread(
                target=self._work, args=(contexts,), daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what it has drawn stays, to be taken later."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            thread.join()

    def take(self) -> Drawn:
        """The next batch, or the end."""
        self._wait()
        with self._changed:
            drawn = self._ready.popleft()
            self._changed.notify_all()
        if drawn.error is None:
            self.state = drawn.state
        return drawn

    def ready(self) -> list[Drawn]:
        """What may be taken without waiting; waits for the first."""
        self._wait()
        return list(self._ready)

    def _wait(self) -> None:
        """Waits for a batch that may be taken, or draws it."""
        if self._ready:
            return
        began, thread = time.perf_counter(), self._thread
        if thread is not None:
            with self._changed:
                # The thread tells of what it does, but not that it was ended.
                while not self._ready and thread.is_alive():
                    self._changed.wait(1.0)
        if not self._ready:
            self._ready.append(self._draw())
        self.waited += time.perf_counter() - began

    def _work(self, contexts: Callable[[], contextlib.ExitStack]) -> None:
        with contexts():
            while self._may_draw():
                drawn = self._draw()
                with self._changed:
                    self._ready.append(drawn)
                    self._changed.notify_all()
                if drawn.error is not None:
                    return

    def _may_draw(self) -> bool:
        """Waits until there is room for one more."""
        if self._left == 0:
            return False
        with self._changed:
            while len(self._ready) >= self._ahead and not self._stopped:
                self._changed.wait()
        if self._left is not None:
            self._left -= 1
        return not self._stopped

    def _draw(self) -> Drawn:
        try:
            batch = self._prepare(next(self._iterator))
            return Drawn(batch, state_of(self._iterator))
        except BaseException as error:  # raised where the batch is asked for
            return Drawn(error=error)


def in_step(feed: Feed, alone: bool) -> Iterator[Any]:
    """The batches of a feed, as long as those of all processes have one.

    Args:
        feed: of this process.
        alone: whether the others are not to be asked, as they have the same.
    """
    agreed = 0
    while True:
        if not alone and not agreed:
            agreed = _agreed(feed.ready())
            if not agreed:
                return
        drawn = feed.take()
        if isinstance(drawn.error, StopIteration):
            return
        if drawn.error is not None:
            raise drawn.error
        yield drawn.batch
        agreed -= 1


def _agreed(ready: list[Drawn]) -> int:
    """How many batches all processes have; they ask each other as seldom as they can.

    Raises:
        ProcessesError: the iterator of another process has failed.
    """
    count = sum(drawn.error is None for drawn in ready)
    failure = next((drawn.error for drawn in ready if drawn.error is not None), None)
    ends = isinstance(failure, StopIteration | None) or count
    text = str(count) if ends else f"{type(failure).__name__}: {failure}"[:500]
    said = meet(_VERB, text)
    if not ends:
        assert failure is not None
        raise failure
    for process, message in enumerate(said):
        if not message.isdigit():
            raise ProcessesError(
                f"the batches of process {process} ended with {message}",
                remedy="mend the loader there; each process reads its own rows.",
            )
    return min(map(int, said))


def _contexts() -> Callable[[], contextlib.ExitStack]:
    """What JAX's context managers say in this thread, for another one to enter."""
    config: Any = jax.config
    mesh = jax.sharding.get_mesh()
    values = [
        (jax.numpy_dtype_promotion, config.jax_numpy_dtype_promotion),
        (jax.numpy_rank_promotion, config.jax_numpy_rank_promotion),
        (jax.default_matmul_precision, config.jax_default_matmul_precision),
        (jax.default_device, config.jax_default_device),
        (jax.enable_x64, config.jax_enable_x64),
        *([] if mesh.empty else [(jax.set_mesh, mesh)]),
    ]

    def enter() -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        for context, value in values:
            stack.enter_context(context(value))
        return stack

    return enter
