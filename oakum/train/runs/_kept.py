"""When a run saves within an epoch, and which of its checkpoints stay, as files."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ArgumentValueError, CheckpointError
from ..checkpoint._checkpoint import load, save
from ..checkpoint._processes import agree, is_first_process, together
from ._interrupt import is_question
from ._place import Place

FOLDER, BEST_FOLDER = "checkpoints", "best"  # those written in the background
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


class Kept:
    """The checkpoints of a folder: the newest, and some older ones by their step.

    Args:
        folder: the folder.
        steps: a checkpoint is due after so many steps.
        minutes: a checkpoint is due after so many minutes.
        keep: how many stay, the newest included.
    """

    def __init__(
        self, folder: Path, steps: int | None, minutes: float | None, keep: int
    ):
        given = {"save_steps": steps, "save_minutes": minutes, "keep": keep}
        for name, value in given.items():
            if value is not None and value <= 0:
                raise ArgumentValueError(
                    f"{name}={value} of a Run", remedy="a number above 0, or none."
                )
        self._folder, self._every, self._keep = folder, steps, keep
        self._seconds = None if minutes is None else 60 * minutes
        self._saved_at = time.perf_counter()

    @property
    def newest(self) -> Path:
        """The file of the last checkpoint."""
        return self._folder / "checkpoint.safetensors"

    def steps(self) -> list[int]:
        """The steps of the checkpoints that stay, the newest one last."""
        names = os.listdir(self._folder) if self._folder.is_dir() else []
        hits = map(_NAME.fullmatch, names)
        return sorted(int(hit[1]) for hit in hits if hit)

    def files(self) -> list[Path]:
        """The checkpoints that are files."""
        return sorted(self._folder.glob("checkpoint*.safetensors"))

    def load(self, resume: bool | int, objects: Mapping[str, Any]) -> None:
        """Loads the newest checkpoint, or the one of a step.

        Raises:
            CheckpointError: there is none.
        """
        self._check(resume)
        load(self.newest if resume is True else self._file(resume), **objects)

    def save(self, step: int, objects: Mapping[str, Any]) -> None:
        """Saves the newest checkpoint, and deletes those that are too old."""
        save(self.newest, **objects)
        with together("Run.save"):
            if is_first_process():
                self._add(step)
        self.note()

    def save_best(self, objects: Mapping[str, Any]) -> None:
        """Saves the best record, in the place of the one before."""
        save(self._best_file, **objects)

    def forget_older(self, *, has_best: bool) -> None:
        """Deletes what is left of the run that this one replaces.

        Args:
            has_best: whether the best record is one of this run.
        """
        if not has_best:
            self._best_file.unlink(missing_ok=True)
        forget_folder(self._folder / FOLDER)
        forget_folder(self._folder / BEST_FOLDER)

    @property
    def _best_file(self) -> Path:
        return self._folder / "best.safetensors"

    def load_best(self, objects: Mapping[str, Any], step: int) -> None:
        """Loads the best record.

        Args:
            objects: what it is loaded into.
            step: the step that it is to be of.

        Raises:
            CheckpointError: it is of another one, which the run no longer has.
        """
        place = Place()
        self._load_best({"place": place})
        found = int(place.step.value)
        if found != step:
            raise CheckpointError(
                f"the best record of this run is that of step {step}, and the one that "
                f"was kept is of step {found}, after which the run went on from "
                "another one",
                where=str(self._folder),
                remedy="go on until there is a better record; or resume after step "
                f"{found}.",
            )
        self._load_best(objects)

    def _load_best(self, objects: Mapping[str, Any]) -> None:
        load(self._best_file, **objects)

    def close(self) -> None:
        """Ends what goes on in the background."""

    def _check(self, resume: bool | int) -> None:
        if self.newest.exists() if resume is True else resume in self.steps():
            return
        known = "" if resume is True else f" at step {resume}; there is {self.steps()}"
        raise CheckpointError(
            f"there is no run to resume in {self._folder}{known}",
            where=str(self.newest),
            remedy="start it without resume, or name the folder of another run",
        )

    def is_due(self, step: int) -> bool:
        """Whether it is time for a checkpoint, after so many steps; all agree on it."""
        if self._every is not None and step % self._every == 0:
            return True
        if self._seconds is None or not is_question(step):
            return False
        return agree("Run", time.perf_counter() - self._saved_at > self._seconds)

    def note(self) -> None:
        """Begins to count the minutes anew."""
        self._saved_at = time.perf_counter()

    def _add(self, step: int) -> None:
        if self._keep > 1:
            file = self._file(step)
            file.unlink(missing_ok=True)
            try:
                os.link(self.newest, file)
            except OSError:  # some file systems have no links
                shutil.copyfile(self.newest, file)
        others = [old for old in self.steps() if old != step]
        # Those of later steps are of a run that this one replaces.
        earlier = [old for old in others if old < step]
        for old in set(others) - set(earlier[len(earlier) - self._keep + 1 :]):
            self._file(old).unlink(missing_ok=True)

    def _file(self, step: int) -> Path:
        return self._folder / f"checkpoint-{step}.safetensors"


def steps_in(folder: Path) -> list[int]:
    """The steps that have a folder of their own in this one."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def forget_folder(folder: Path, last: int | None = None) -> None:
    """Deletes the steps in a folder: all, with it, or those after `last`."""
    for step in steps_in(folder):
        if last is None or step > last:
            shutil.rmtree(folder / str(step))
    if last is None and folder.is_dir() and not os.listdir(folder):
        folder.rmdir()
