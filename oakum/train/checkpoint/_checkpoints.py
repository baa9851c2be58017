"""Checkpoints: the steps of a training program in a folder, by orbax."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, CheckpointError, MissingCheckpointError
from ._checks import check_no_trace, check_savable, collect_all
from ._contents import check_alike, hold_values
from ._folder import MANIFEST, STATE, as_tree, load_folder
from ._orbax import orbax
from ._processes import together
from ._sparing import sparing_registry

# orbax's processes wait for one another by names, which managers that write at the same
# time would share. All processes make theirs in the same order.
_number = itertools.count()


class Checkpoints:
    """The checkpoints of a training program: a folder with one for each step saved.

    A save goes on in the background, while the program trains. A step is there whole or
    not at all, whenever the program is killed. Objects spread over several devices and
    processes are written by all of them, each its part, and load onto others. orbax
    reads and writes the arrays; what is in the folder is a tree that it can restore
    without oakum. Needs the extra `checkpoints`.

    In a program of several processes all of them make it and call `save` and `load`.

    Args:
        folder: it is made where it is not there.
        keep: how many of the last steps stay; None for all.
        every: only steps that are multiples of this are saved.
        best: the measure by which the best step stays too.
        higher: whether more of it is better; by default where its name ends in
            `accuracy`.

    Example:
        >>> import oakum as nnx, tempfile
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> folder = tempfile.mkdtemp()
        >>> with nnx.train.Checkpoints(folder, keep=2) as checkpoints:
        ...     for step in range(3):
        ...         saved = checkpoints.save(step, model=model)
        >>> checkpoints.steps
        [1, 2]
        >>> checkpoints.load(model=model)
        2
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int | None = 3,
        every: int = 1,
        best: str | None = None,
        higher: bool | None = None,
    ):
        if every < 1 or (keep is not None and keep < 1):
            raise ArgumentError(
                f"Checkpoints: keep={keep} and every={every}, expected numbers from 1",
                remedy="Checkpoints(folder, keep=3, every=1000).",
            )
        self.folder = Path(os.path.realpath(os.fsdecode(folder)))
        self.best_by = best
        self._higher = (best or "").endswith("accuracy") if higher is None else higher
        self._every = every
        ocp = orbax()
        with together("Checkpoints"):
            self.folder.mkdir(parents=True, exist_ok=True)
            apart = ocp.options.MultiprocessingOptions(
                barrier_sync_key_prefix=f"oakum{next(_number)}"
            )
            self._manager = ocp.CheckpointManager(
                self.folder,
                handler_registry=sparing_registry(ocp, STATE, MANIFEST, apart),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=self._policy(ocp, keep),
                    best_fn=self._measure if best is not None else None,
                    save_interval_steps=1,
                    cleanup_tmp_directories=True,
                    multiprocessing_options=apart,
                ),
            )

    def _policy(self, ocp: Any, keep: int | None) -> Any:
        policies = ocp.checkpoint_managers
        if keep is None:
            return None
        kept = [policies.LatestN(keep)]
        if self.best_by is not None:
            kept.append(
                policies.BestN(
                    get_metric_fn=self._measure,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        return policies.AnyPreservationPolicy(kept)

    def _measure(self, metrics: Any) -> float:
        """A measure of which more is better."""
        value = float(metrics[self.best_by])
        return value if self._higher else -value

    @property
    def steps(self) -> list[int]:
        """The steps that are there whole, in order."""
        self.wait()
        return sorted(self._manager.all_steps(read=True))

    @property
    def best(self) -> int | None:
        """The step with the best measure; None where none was saved with it."""
        measured = [
            (self._measure(metrics), step)
            for step in self.steps
            if self.best_by in (metrics := self._manager.metrics(step) or {})
        ]
        return max(measured)[1] if measured else None

    def save(
        self, step: int, *, metrics: Mapping[str, float] | None = None, **objects: Any
    ) -> bool:
        """Begins to save the state of objects as a step; the program may go on.

        An error that is met later, such as a full disk, is raised by the next `save`,
        `wait` or `close`.

        Args:
            step: its number, above those that are there.
            metrics: measures by name, among them the one by which the best is kept.
            **objects: what to save, by name, as for `nnx.save`.

        Returns:
            Whether it is saved: False where `every` leaves it out.

        Raises:
            ArgumentError: the measure is missing by which the best is kept, `metrics`
                are none, or an object holds what cannot be saved.
            ArgumentValueError: processes hold different values of one array.
            CheckpointError: the step is there already, or it cannot be written.
        """
        if metrics is not None and not isinstance(metrics, Mapping):
            raise ArgumentError(
                "metrics= of Checkpoints.save are measures by name, and a "
                f"{type(metrics).__name__} is given",
                remedy='metrics={"valid_loss": loss}; or, where it is an object to '
                "save, pass it under another name.",
            )
        return self.save_objects(step, objects, metrics)

    def save_objects(
        self,
        step: int,
        objects: dict[str, Any],
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        """As `save`, of objects by any name."""
        check_no_trace("train.Checkpoints.save")
        if step % self._every:
            return False
        measures = {name: float(x) for name, x in (metrics or {}).items()}
        if self.best_by is not None and self.best_by not in measures:
            raise ArgumentError(
                f"Checkpoints keeps the best step by {self.best_by!r}, and save was "
                f"given the measures {sorted(measures)}",
                remedy=f"save(step, metrics={{{self.best_by!r}: value}}, model=model).",
            )
        with together("Checkpoints.save"):
            items = collect_all("train.Checkpoints.save", objects)
            hold_values(items)
            for item in items:
                check_savable(item)
            if step <= max(self._manager.all_steps(), default=step - 1):
                raise CheckpointError(
                    f"Step {step} is not above the last one that was saved",
                    where=str(self.folder),
                    remedy="go on from the last: step = checkpoints.load(model=model).",
                )
        check_alike("Checkpoints.save", items)
        manifest, tree = as_tree(objects, items)
        args = orbax().args
        content = {
            STATE: args.PyTreeSave(tree),
            MANIFEST: args.JsonSave(manifest),
        }
        self._manager.save(
            step, args=args.Composite(**content), metrics=measures or None, force=True
        )
        return True

    def load(self, step: int | None = None, *, strict: bool = True, **objects: Any):
        """Loads objects in place from a step, by default from the newest.

        Either everything fits and is loaded, or an error lists every mismatch and
        nothing is changed. Each array goes where the one lies that it replaces, or
        where an abstract one is to lie, whatever the devices that saved it.

        Args:
            step: its number; `checkpoints.best` for the best.
            strict: False loads what fits, and leaves the rest of the objects as it is.
            **objects: objects of the structure that was saved, by the same names; a
                part of it as for `nnx.load`.

        Returns:
            The number of the step.

        Raises:
            CheckpointError: there is no such step (`MissingCheckpointError`), it cannot
                be read, or the objects differ from what was saved.
        """
        return self.load_objects(step, objects, strict)

    def load_objects(
        self, step: int | None, objects: dict[str, Any], strict: bool = True
    ) -> int:
        """As `load`, of objects by any name."""
        check_no_trace("train.Checkpoints.load")
        steps = self.steps
        chosen = max(steps, default=None) if step is None else step
        if chosen is None or chosen not in steps:
            raise MissingCheckpointError(
                f"There is no step {'at all' if step is None else step}; the steps are "
                f"{steps}",
                where=str(self.folder),
                remedy="save first: checkpoints.save(step, model=model).",
            )
        items = collect_all("train.Checkpoints.load", objects)
        load_folder(self.folder / str(chosen), objects, items, strict)
        return chosen

    def wait(self) -> None:
        """Waits until what was saved is on the disk.

        Raises:
            CheckpointError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except OSError as error:
            raise CheckpointError(
                f"A step could not be written: {error}",
                where=str(self.folder),
                remedy="make room or mend the folder, and save again; the steps before "
                "stand.",
            ) from error

    def close(self) -> None:
        """Waits, and ends what goes on in the background."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
