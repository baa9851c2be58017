"""A training run: its folder, its progress bar, and how it is stopped and resumed.

A `Run` stands around the loop of an ordinary training program. It knows the *place*
that the loop has reached (the epoch, its batches that are done, and the steps in all)
and saves it together with the program's objects: after each epoch, when a checkpoint
is due, and when Ctrl-C is pressed. The usual sequence of calls:

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

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ...errors import ArgumentError, CheckpointError
from ..checkpoint._contents import check_alike, collect
from ..checkpoint._processes import is_first_process, together
from ._background import Background
from ._history import Means, Row, rows_until
from ._interrupt import Interrupt, Interrupted
from ._kept import Kept
from ._loggers import Logger
from ._measurements import Measurements
from ._notes import describe_older, find_older, read_notes, write_notes
from ._place import Place
from ._plots import plot_curves
from ._progress import Silent, format_speed, format_values, make_progress
from .input._batches import Batches, make_batches
from .input._input import Input


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
            as soon as this one is first saved; a line says which.
        resume: go on from the newest checkpoint in the folder, or from the one of this
            step, which is loaded into the objects.
        save_steps, save_minutes: save each time so many steps or minutes are over,
            besides the end of each epoch.
        keep: how many checkpoints stay, older ones as `checkpoint-STEP.safetensors`.
        best: the measure by which the best record is kept, in `best.safetensors`.
        higher: whether more of it is better; by default where its name ends in
            `accuracy`.
        loggers: where measures go besides the history: `"csv"`, `"json"`,
            `"tensorboard"`, `"wandb"`, or objects with `log(step, values)` and
            `close()`.
        watch: the logged measure that must stay finite; None for none.
        **objects: what is saved: the model, the optimizer, and other objects whose
            state the loop changes.

    Attributes:
        epoch: how many epochs are done.
        batch: how many batches of the next one.
        step: how many steps in all.

    Raises:
        CheckpointError: there is nothing to resume in the folder.
        NonFiniteError: a measure that is watched, or a Param that is to be saved, is
            nan or inf.

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

    def __init__(
        self,
        folder: str | Path,
        /,
        *,
        resume: bool | int = False,
        save_steps: int | None = None,
        save_minutes: float | None = None,
        keep: int = 1,
        background: bool = False,
        best: str | None = None,
        higher: bool | None = None,
        loggers: Sequence[Logger | str] = (),
        watch: str | None = "loss",
        **objects: Any,
    ):
        if "place" in objects:
            raise ArgumentError(
                "a Run saves its own place and takes no object named 'place'",
                remedy="pass the object under another name",
            )
        self.folder = Path(folder)
        self.epoch = self.batch = self.step = 0
        self._measured = Measurements(best, higher, watch, loggers)
        self._objects = objects
        self._epochs: int | None = 0  # None where steps are counted
        self._order: dict[str, Any] = {}
        self._inside = False  # a batch that was handed out
        self._input = Input()
        self._saved_place: tuple[int, int, int] | None = None
        self._interrupt = Interrupt()
        kept = Background if background else Kept
        self._kept = kept(self.folder, save_steps, save_minutes, keep)
        self._bar = make_progress() if is_first_process() else Silent()
        self._began = (0.0, 0)
        self._replaced: dict[str, Any] | None = None
        if resume is not False:
            self._load(resume)

    @property
    def history(self) -> list[Row]:
        """A row of measures for each record, with its epoch and step."""
        return self._measured.history

    @property
    def checkpoint(self) -> Path:
        """The file with the objects, or the folder of the checkpoints."""
        return self._kept.newest

    @property
    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints that were kept, for `resume=`."""
        return self._kept.steps()

    @property
    def best(self) -> Row | None:
        """The row of the history that is the best; None before there is one."""
        return self._measured.best.of(self.history)

    @property
    def input_wait(self) -> float:
        """The share of the time in which the loop waited for its last batches."""
        return self._input.wait

    @property
    def resumed_by(self) -> str | None:
        """How a resumed run found its place among the batches.

        `"order"`: by seed and epoch; `"state"`: the loader was put back to its own;
        `"count"`: those that are done were passed over. None otherwise.
        """
        return self._input.resumed_by

    def __enter__(self) -> Run:
        anew = self._saved_place is None
        with together("Run"):
            if is_first_process():
                self.folder.mkdir(parents=True, exist_ok=True)
                self._measured.open(self.folder, anew=anew)
                if anew:
                    self._replaced = find_older(self.folder)
            items = [i for n, obj in self._objects.items() for i in collect(n, obj)]
        check_alike("Run", items)
        self._interrupt.catch()
        self._bar.open()
        if self._replaced and anew:
            self._bar.print(describe_older(self._replaced))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._input.close()
        self._bar.close()
        with self._interrupt.released():
            try:
                # After any other error the objects may be half-way through a step.
                if kind is None or kind is Interrupted:
                    self.save()
            finally:
                self._kept.close()
                self._measured.close()
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
            self._began = (time.perf_counter(), self.step)
            yield self.epoch
            self.epoch, self.batch = self.epoch + 1, 0
            self._fetch()
            self._measured.means = Means()
            self.save()
            self._interrupt.check()

    def batches(
        self,
        data: Any,
        size: int | None = None,
        seed: int | None = None,
        *,
        sharding: Any = None,
        ahead: int | None = None,
    ) -> Iterator[Any]:
        """Yields the batches of this epoch that are still to be done.

        Arrays are cut into batches, shuffled anew in each epoch; what does not fill a
        batch is left out, since another shape would have to be compiled for. A loader
        or another iterable gives its own batches. An iterator, which cannot begin anew,
        goes on over the epochs.

        A resumed run puts a loader whose iterators have `get_state` and `set_state`
        back to where it was, as grain's have; of another iterable it passes over as
        many batches as were done, and that has to give them in the same order again.

        In several processes arrays are the same in each; an iterable gives each process
        its own rows, and the epoch ends where the first of them has no more.

        Args:
            data: arrays of the same length, to be cut alike; or an iterable of batches.
            size: rows in a batch of arrays.
            seed: with the epoch, decides the order of the rows.
            sharding: where the arrays of a batch go, over all processes:
                `NamedSharding(mesh, P('data'))`; or a device.
            ahead: how many batches a thread draws and moves before the loop asks for
                them; by default 2 of arrays, and of a loader with `sharding`, but none
                of an iterator, which the program may read elsewhere too.

        Raises:
            ArgumentError: the arrays differ in length or do not fill one batch, or
                `size` and `seed` are missing, or given for an iterable.
            CheckpointError: a resumed run had them cut or ordered in another way.
        """
        source = make_batches(data, size, seed)
        self._order = source.continue_from(self._order, self.folder)
        total, before = source.total, self.epoch * (source.total or 0)
        if total:
            total *= max(self._epochs or 0, self.epoch + 1)
        self._bar.begin(self._title(), before + self.batch, total)
        self._open(source, sharding, ahead)
        yield from self._hand_out(source, before - self.step + self.batch, None)

    def steps(
        self,
        count: int,
        data: Any,
        size: int | None = None,
        seed: int | None = None,
        *,
        sharding: Any = None,
        ahead: int | None = None,
    ) -> Iterator[Any]:
        """Yields batches, over as many epochs as it takes, in place of `epochs`.

        A record then holds the means of what was logged since the last one.

        Args:
            count: how many steps the run has in all, those before a resume included.
            data, size, seed, sharding, ahead: as for `batches`.

        Raises:
            ArgumentError: as for `batches`, or there is no batch.
            CheckpointError: as for `batches`.
        """
        source = make_batches(data, size, seed)
        self._order = source.continue_from(self._order, self.folder)
        self._epochs = None
        self._began = (time.perf_counter(), self.step)
        self._bar.begin("step", self.step, count)
        while self.step < count:
            self._open(source, sharding, ahead)
            yield from self._hand_out(source, 0, count)
            if self.step < count:
                if source.goes_on:
                    return
                if not self.batch:
                    raise ArgumentError(
                        f"steps: there is no batch in a {type(data).__name__}",
                        remedy="give a loader that gives batches each time anew.",
                    )
                self.epoch, self.batch = self.epoch + 1, 0

    def every(self, count: int) -> bool:
        """Whether the step of this batch ends a round of so many steps."""
        return (self.step + self._inside) % count == 0

    def log(self, **values: Any) -> None:
        """Notes measures of a batch, for the progress bar and the mean of the epoch.

        Args:
            **values: numbers or arrays of one element. Arrays may still be being
                computed: nothing waits for them here.
        """
        self._measured.means.add(values, self.step + self._inside)

    def watch(self, **trees: Any) -> None:
        """Has each array of these looked at, to name the first that goes bad, and when.

        It reads all of them in each step, and nothing waits for it here.

        Args:
            **trees: models, or what `nnx.grad` returned, by a name for messages.
        """
        self._measured.watch.add(self.step + self._inside, trees)

    def record(self, **values: Any) -> None:
        """Ends an epoch: adds its measures to the history and prints them.

        Args:
            **values: measures besides the means of those that were logged.

        Raises:
            ArgumentError: the measure is missing by which the best is kept.
            NonFiniteError: a measure that is watched is nan or inf.
        """
        began, first = self._began
        measured, step = self._measured, self.step + self._inside
        self._fetch(agreed=True)
        numbers = measured.numbers(values)
        by_epochs = self._epochs is not None
        row = measured.row(numbers, self.epoch, step, by_epochs=by_epochs)
        if measured.is_best(row):
            self._kept.save_best({**self._objects, "place": Place(step=step)})
        measured.append(row, numbers)
        line = f"{self._title()}  {format_values(numbers)}"
        if step > first:
            speed = (step - first) / (time.perf_counter() - began)
            line += f"  {format_speed(speed)}"
        self._bar.print(line)

    def is_stale(self, patience: int) -> bool:
        """Whether the last `patience` records brought no best one: time to stop."""
        rows = self.history
        best = self.best
        return len(rows) > patience and (best is None or best in rows[:-patience])

    def load_best(self) -> None:
        """Loads the objects of the best record.

        Raises:
            ArgumentError: the run was not told by which measure.
            CheckpointError: there is no record yet.
        """
        measure = self._measured.best.measure
        if measure is None:
            raise ArgumentError(
                "this run keeps no best record",
                remedy='Run(folder, best="valid_loss", model=model).',
            )
        if self.best is None:
            raise CheckpointError(
                f"this run has no record with a {measure} that is a number",
                where=str(self.folder),
                remedy=f"record one first: run.record({measure}=...).",
            )
        self._kept.load_best(self._objects, int(self.best["step"]))

    def plot(self, path: str | Path | None = None) -> Any:
        """Draws the history; needs matplotlib.

        Args:
            path: the PNG file, by default `curves.png` in the folder.

        Returns:
            The figure, of matplotlib.
        """
        return plot_curves(path or self.folder / "curves.png", self.history)

    def save(self) -> None:
        """Saves the objects, the history and the place, unless they are saved.

        In the body of the loop over batches it belongs after the step: the batch that
        was handed out counts as done.
        """
        place = (self.epoch, self.batch + self._inside, self.step + self._inside)
        if place == self._saved_place:
            return
        kept = {
            "place": place,
            "order": self._order,
            "means": self._measured.means.to_dict(),
            "history": self.history,
            "loader": self._input.states_now(),
            "replaced": self._replaced,
        }
        self._measured.watch.check_params(self._objects, place[2])
        self._fetch(agreed=True)
        # The checkpoint comes last: it is the one that says how far the run is.
        with together("Run.save"):
            if is_first_process():
                write_notes(self.folder, kept)
        self._kept.save(place[2], {**self._objects, "place": Place(*place)})
        if self._saved_place is None:
            with together("Run.save"):
                if self._replaced:  # process 0 alone knows
                    self._kept.forget_older(has_best=self.best is not None)
        self._saved_place = place

    def _open(self, source: Batches, *where: Any) -> None:
        place = (self.epoch, self.batch, self.step)
        if text := self._input.open(source, place, *where):
            self._bar.print(text)

    def _hand_out(
        self, source: Batches, ahead: int, until: int | None
    ) -> Iterator[Any]:
        """The batches of this epoch that are not done.

        Args:
            source: where they come from.
            ahead: by how much the bar's count is above that of the steps.
            until: the step to end at, where there is one.
        """
        most = None if until is None else until - self.step
        for batch in self._input.batches(bool(source.size), most):
            self._interrupt.check(self.batch)
            self._inside = True
            try:
                yield batch
            finally:  # left by a break too, after the step
                self._inside = False
                self.batch, self.step = self.batch + 1, self.step + 1
            if self._bar.is_due(self.step + ahead):
                means = self._measured.means.fetch()
                self._fetch()
                self._bar.draw(self.step + ahead, means)
            if self._kept.is_due(self.step):
                self.save()
            if self.step == until:
                return

    def _fetch(self, *, agreed: bool = False) -> None:
        """Hands on what was logged and is computed by now.

        Args:
            agreed: whether all processes are at this place, so that all may raise.
        """
        last = self._saved_place and self._saved_place[2]
        what = "there is no checkpoint" if last is None else f"saved at step {last}"
        self._measured.fetch(self._objects, f"{self.folder}: {what}", agreed=agreed)

    def _title(self) -> str:
        if self._epochs is None:
            return f"step {self.step + self._inside}"
        width = len(str(self._epochs))
        return f"epoch {self.epoch + 1:{width}}/{self._epochs}"

    def _load(self, resume: bool | int) -> None:
        place = Place()
        self._kept.load(resume, {**self._objects, "place": place})
        self.epoch, self.batch, self.step = self._saved_place = place.numbers()
        kept = read_notes(self.folder)
        self._order, self._replaced = kept["order"], kept.get("replaced")
        rows = rows_until(kept["history"], self.epoch, self.step)
        self._measured.history = rows
        if tuple(kept["place"]) == self._saved_place:
            self._measured.means = Means(kept["means"])
            self._input.states = kept.get("loader")
        self._input.resumes = True
