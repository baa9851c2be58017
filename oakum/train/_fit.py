"""A training run: its folder, its progress bar, and how it is stopped and resumed.

A `Run` stands around the loop of an ordinary training program. It knows the *place*
that the loop has reached (the epoch, and the batches of it that are done) and saves
it together with the program's objects: after each epoch, and when Ctrl-C is pressed.
The usual sequence of calls:

    with Run("runs/digits", model=model, optimizer=optimizer, resume=True) as run:
        for epoch in run.epochs(20):
            for images, labels in run.batches(train, size=64, seed=0):
                loss = train_step(model, optimizer, images, labels)
                run.log(loss=loss)
            run.record()

A resumed run ends with the same bits as one that was never interrupted: the order of
the batches follows from the seed and the epoch, and what else is random (dropout, say)
draws from streams that are state of the objects saved.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import jax
import jax.numpy as jnp

from .._objects import Module, Variable
from ..errors import ArgumentError, CheckpointError
from ._batches import Batches, make_batches
from ._history import Means, write_json
from ._progress import Silent, format_speed, format_values, make_progress
from .checkpoint._checkpoint import load, save
from .checkpoint._processes import agree, is_first_process, together

# Several processes wait for each other, and for their devices, to agree on a stop.
_STEPS_BETWEEN_QUESTIONS = 32


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was pressed, and the run was saved at the end of the step."""


class Place(Module):
    """Where a run is, in the form in which it is saved."""

    def __init__(self, epoch: int = 0, batch: int = 0):
        self.epoch = Variable(jnp.asarray(epoch, jnp.int32))
        self.batch = Variable(jnp.asarray(batch, jnp.int32))


class Run:
    """A training run that shows its progress, saves itself and can be resumed.

    It is a context manager. While it is open, Ctrl-C ends the step that is running,
    saves, and raises `Interrupted`; pressed again it stops at once, and the last save
    stands. The folder gets `checkpoint.safetensors` with the objects and `run.json`
    with the history.

    In a program of several processes (`jax.distributed`) each makes the Run, with the
    same objects and as many batches, on a folder that all of them see. Process 0 alone
    writes and prints. They ask each other for Ctrl-C every 32 batches and after each
    epoch, so that all stop at the same place.

    Args:
        folder: where the run is kept. Without `resume`, an older run there is replaced
            as soon as this one is first saved.
        resume: go on from the checkpoint in the folder, which is loaded into the
            objects.
        **objects: what is saved: the model, the optimizer, and other objects whose
            state the loop changes.

    Raises:
        CheckpointError: there is nothing to resume in the folder.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        >>> data = (np.ones((8, 2), np.float32),)
        >>> with nnx.train.Run(tempfile.mkdtemp(), model=model) as run:
        ...     for epoch in run.epochs(2):
        ...         for (x,) in run.batches(data, size=4, seed=0):
        ...             run.log(mean=model(x).mean() * 0)
        ...         run.record()
        epoch 1/2  mean ...
        epoch 2/2  mean ...
    """

    def __init__(self, folder: str | Path, /, *, resume: bool = False, **objects: Any):
        if "place" in objects:
            raise ArgumentError(
                "a Run saves its own place and takes no object named 'place'",
                remedy="pass the object under another name",
            )
        self.folder = Path(folder)
        self.epoch = 0
        self.batch = 0
        self.history: list[dict[str, float]] = []
        self._objects = objects
        self._epochs = 0
        self._order: dict[str, Any] = {}
        self._inside = False  # a batch that was handed out
        self._taken = 0  # from a stream that goes on over the epochs
        self._stream: Any = None
        self._means = Means()
        self._saved_place: tuple[int, int] | None = None
        self._interrupt = _Interrupt()
        self._bar = make_progress() if is_first_process() else Silent()
        self._epoch_began = (0.0, 0)
        if resume:
            self._load()

    @property
    def checkpoint(self) -> Path:
        """The file with the objects."""
        return self.folder / "checkpoint.safetensors"

    def __enter__(self) -> Run:
        with together("Run"):
            if is_first_process():
                self.folder.mkdir(parents=True, exist_ok=True)
        self._interrupt.catch()
        self._bar.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._interrupt.release()
        # After any other error the objects may be half-way through a step.
        if kind is None or kind is Interrupted:
            self.save()
        if kind is Interrupted or (kind is None and self._interrupt.wished):
            more = f" and {self.batch} batches of the next" if self.batch else ""
            self._bar.print(
                f"interrupted after epoch {self.epoch}{more}, saved in {self.folder}"
            )
        if kind is None:
            self._interrupt.check()

    def epochs(self, count: int) -> Iterator[int]:
        """Yields the number of each epoch that is still to be done, from 0.

        Args:
            count: how many epochs the run has in all, those before a resume included.
        """
        self._epochs = count
        while self.epoch < count:
            self._epoch_began = (time.perf_counter(), self.batch)
            yield self.epoch
            self.epoch, self.batch = self.epoch + 1, 0
            self._means = Means()
            self.save()
            self._interrupt.check()

    def batches(
        self, data: Any, size: int | None = None, seed: int | None = None
    ) -> Iterator[Any]:
        """Yields the batches of this epoch that are still to be done.

        Arrays are cut into batches, shuffled anew in each epoch; what does not fill a
        batch is left out, since another shape would have to be compiled for. A loader
        or another iterable gives its own batches. An iterator, which cannot begin anew,
        goes on over the epochs.

        A resumed run passes over as many batches of an iterable as were done: it has to
        give them in the same order again.

        Args:
            data: arrays of the same length, to be cut alike; or an iterable of batches.
            size: rows in a batch of arrays.
            seed: with the epoch, decides the order of the rows.

        Raises:
            ArgumentError: the arrays differ in length or do not fill one batch, or
                `size` and `seed` are missing, or given for an iterable.
            CheckpointError: a resumed run had them cut or ordered in another way.
        """
        source = make_batches(data, size, seed)
        self._check_order(source.order)
        total, before = source.total, 0
        if total is not None:
            epochs, before = max(self._epochs, self.epoch + 1), self.epoch * total
            total *= epochs
        self._bar.begin(self._title(), before + self.batch, total)
        for batch in self._remaining(source):
            self._interrupt.check(self.batch)
            self._inside = True
            try:
                yield batch
            finally:  # left by a break too, after the step
                self._inside = False
                self.batch, self._taken = self.batch + 1, self._taken + 1
            if self._bar.is_due():
                self._bar.draw(before + self.batch, self._means.fetch())

    def _remaining(self, source: Batches) -> Iterator[Any]:
        """The batches of this epoch that are not done, of a source."""
        skipped = self._taken if source.goes_on else self.batch
        if source.goes_on:
            if self._stream is source.data:
                skipped = 0
            self._stream = source.data
        yield from source.after(self.epoch, skipped)

    def log(self, **values: Any) -> None:
        """Notes measures of a batch, for the progress bar and the mean of the epoch.

        Args:
            **values: numbers or arrays of one element. Arrays may still be being
                computed: nothing waits for them here.
        """
        self._means.add(values)

    def record(self, **values: Any) -> None:
        """Ends an epoch: adds its measures to the history and prints them.

        Args:
            **values: measures besides the means of those that were logged.
        """
        began, first = self._epoch_began
        numbers = self._means.of_all()
        numbers |= {name: float(value) for name, value in values.items()}
        # A loop that was left after the record comes here a second time.
        self.history = [row for row in self.history if row["epoch"] <= self.epoch]
        self.history.append({"epoch": self.epoch + 1, **numbers})
        line = f"{self._title()}  {format_values(numbers)}"
        if self.batch > first:
            speed = (self.batch - first) / (time.perf_counter() - began)
            line += f"  {format_speed(speed)}"
        self._bar.print(line)

    def save(self) -> None:
        """Saves the objects, the history and the place, unless they are saved.

        In the body of the loop over batches it belongs after the step: the batch that
        was handed out counts as done.
        """
        place = (self.epoch, self.batch + self._inside)
        if place == self._saved_place:
            return
        kept = {
            "place": place,
            "order": self._order,
            "taken": self._taken + self._inside,
            "means": self._means.to_dict(),
            "history": self.history,
        }
        # The checkpoint comes last: it is the one that says how far the run is.
        with together("Run.save"):
            if is_first_process():
                write_json(self.folder / "run.json", kept)
        save(self.checkpoint, **self._objects, place=Place(*place))
        self._saved_place = place

    def _title(self) -> str:
        width = len(str(self._epochs))
        return f"epoch {self.epoch + 1:{width}}/{self._epochs}"

    def _load(self) -> None:
        if not self.checkpoint.exists():
            raise CheckpointError(
                f"there is no run to resume in {self.folder}",
                where=str(self.checkpoint),
                remedy="start it without resume, or name the folder of another run",
            )
        place = Place()
        load(self.checkpoint, **self._objects, place=place)
        self.epoch, self.batch = int(place.epoch.value), int(place.batch.value)
        self._saved_place = (self.epoch, self.batch)
        kept = json.loads((self.folder / "run.json").read_text("utf-8"))
        self._order, self._taken = kept["order"], kept.get("taken", 0)
        self.history = [row for row in kept["history"] if row["epoch"] <= self.epoch]
        if tuple(kept["place"]) == self._saved_place:
            self._means = Means(kept["means"])

    def _check_order(self, order: dict[str, Any]) -> None:
        if self._order and order != self._order:
            raise CheckpointError(
                f"the run to resume drew its batches with {_assignments(self._order)}, "
                f"not {_assignments(order)}",
                where=str(self.folder),
                remedy="resume it as it was started, or start another run",
            )
        self._order = order


class _Interrupt:
    """Turns the first Ctrl-C into a wish that the loop asks for between two steps."""

    def __init__(self) -> None:
        self.wished = False
        self._old: Any = None

    def catch(self) -> None:
        # Only the main thread may set handlers, and only it gets the signal.
        if threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGINT, self._handle)

    def release(self) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    def check(self, step: int = 0) -> None:
        """Raises where Ctrl-C was pressed, in all processes at the same step."""
        if step % _STEPS_BETWEEN_QUESTIONS and jax.process_count() > 1:
            return
        self.wished = agree(self.wished)
        if self.wished:
            raise Interrupted

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.wished = True
        self.release()


def _assignments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
