"""A run's checkpoints in folders, written in the background by all processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ArgumentError
from ..checkpoint._checkpoints import Checkpoints
from ..checkpoint._processes import is_first_process, together
from ._kept import BEST_FOLDER, FOLDER, Kept, forget_folder, steps_in


class Background(Kept):
    """The checkpoints of a run as `Checkpoints` has them, each named by its step."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._open: Checkpoints | None = None
        self._best: Checkpoints | None = None
        self._last: int | None = None  # the step that was saved or loaded

    @property
    def newest(self) -> Path:
        """The folder of all checkpoints."""
        return self._folder / FOLDER

    def steps(self) -> list[int]:
        """The steps of the checkpoints that stay, the newest one last."""
        return self._open.steps if self._open else steps_in(self.newest)

    def load(self, resume: bool | int, objects: Mapping[str, Any]) -> None:
        """Loads the newest checkpoint, or the one of a step."""
        self._check(resume)
        with Checkpoints(self.newest, keep=None) as checkpoints:
            step = None if resume is True else resume
            self._last = checkpoints.load_objects(step, dict(objects))

    def save(self, step: int, objects: Mapping[str, Any]) -> None:
        """Begins to save a step, unless it is there.

        Raises:
            ArgumentError: nobody counts the steps.
        """
        if self._open is None:
            _forget(self.newest, self._last)
            self._open = Checkpoints(self.newest, keep=self._keep)
        if step != self._last:
            self._open.save_objects(step, dict(objects))
        elif not step:
            raise ArgumentError(
                "checkpoints in the background go by the step, which is still 0",
                remedy="hand the batches out by run.batches(data) or run.steps(n, data)"
                ", or save files: Run(background=False).",
            )
        self._last = step
        self.note()

    def save_best(self, objects: Mapping[str, Any]) -> None:
        """Begins to save the best record."""
        folder = self._folder / BEST_FOLDER
        if self._best is None:
            if self._last is None:
                _forget(folder, None)
            self._best = Checkpoints(folder, keep=1)
        number = max(self._best.steps, default=-1) + 1
        self._best.save_objects(number, dict(objects))

    def forget_older(self, *, has_best: bool) -> None:
        """Deletes what is left of the run that this one replaces."""
        if not has_best:
            forget_folder(self._folder / BEST_FOLDER)
        for path in [self._best_file, *self.files()]:
            path.unlink(missing_ok=True)

    def _load_best(self, objects: Mapping[str, Any]) -> None:
        self.close()
        with Checkpoints(self._folder / BEST_FOLDER, keep=1) as best:
            best.load_objects(None, dict(objects))

    def close(self) -> None:
        """Waits until all is written."""
        for checkpoints in (self._open, self._best):
            if checkpoints is not None:
                checkpoints.close()
        self._open = self._best = None


def _forget(folder: Path, last: int | None) -> None:
    """Deletes the steps of a run that this one replaces: all, or those after `last`."""
    with together("Run.save"):
        if is_first_process():
            forget_folder(folder, last)
