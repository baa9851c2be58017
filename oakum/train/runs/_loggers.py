"""Loggers: where the measures of a run go besides its history.

A logger has two methods, `log(step, values)` and `close()`; anything that has them will
do. It gets what is logged at each step, and what is recorded.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ...errors import ArgumentValueError
from .._extras import require


class Logger(Protocol):
    """What a Run hands its measures to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Notes measures of a step; several calls may be for one step."""

    def close(self) -> None:
        """Ends the log."""


class JSONLogger:
    """Writes a line of JSON for each step: `{"step": 1, "loss": 0.5}`.

    A run that goes on from an older step takes the lines after that step away.

    Args:
        path: the file, which is appended to.

    Example:
        >>> import oakum as nnx, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / 'log.jsonl'
        >>> logger = nnx.train.JSONLogger(path)
        >>> logger.log(1, {'loss': 0.5})
        >>> logger.close()
        >>> print(path.read_text().strip())
        {"step": 1, "loss": 0.5}
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._file: Any = None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the line."""
        if self._file is None:
            kept = [row for row in self._read() if row["step"] < step]
            self._file = self._path.open("w", encoding="utf-8")
            for row in kept:
                self._write(row)
        self._write({"step": step, **values})

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, row: Mapping[str, float]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _read(self) -> list[dict[str, float]]:
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]


class CSVLogger:
    """Writes a table with a column for each measure, and a row for each step.

    A run that goes on from an older step takes the rows after that step away.

    Args:
        path: the file.

    Example:
        >>> import oakum as nnx, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / 'log.csv'
        >>> logger = nnx.train.CSVLogger(path)
        >>> logger.log(1, {'loss': 0.5})
        >>> logger.log(2, {'loss': 0.25, 'valid_loss': 1.0})
        >>> logger.close()
        >>> print(path.read_text().strip())
        step,loss,valid_loss
        1,0.5,
        2,0.25,1.0
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._names: list[str] = []
        self._file: Any = None

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the row, and the table anew where a measure is new."""
        if self._file is None:
            self._begin([row for row in self._read() if float(row["step"]) < step])
        if not set(values) <= set(self._names):
            self._begin(self._read(), list(values))
        self._write({"step": step, **values})

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, rows: Sequence[Mapping[str, Any]], more: Sequence[str] = ()):
        self.close()
        self._names = list(dict.fromkeys(["step", *self._names, *more]))
        self._names = list(dict.fromkeys([*self._names, *(n for r in rows for n in r)]))
        self._file = self._path.open("w", encoding="utf-8", newline="")
        csv.writer(self._file, lineterminator="\n").writerow(self._names)
        for row in rows:
            self._write(row)

    def _write(self, row: Mapping[str, Any]) -> None:
        table = csv.writer(self._file, lineterminator="\n")
        table.writerow([row.get(name, "") for name in self._names])
        self._file.flush()

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


class TensorBoardLogger:
    """Writes what TensorBoard shows; needs `pip install 'oakum[tensorboard]'`.

    Args:
        folder: where its files go.
    """

    def __init__(self, folder: str | Path):
        self._writer = require("tensorboardX").SummaryWriter(str(folder))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


class WandbLogger:
    """Sends measures to Weights & Biases; needs `pip install 'oakum[wandb]'`.

    Args:
        **options: of `wandb.init`, such as `project`; to go on with a run, its `id` and
            `resume="allow"`.
    """

    def __init__(self, **options: Any):
        self._run = require("wandb").init(**options)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Sends the measures of a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Ends the run there."""
        self._run.finish()


_FILES = {"csv": "log.csv", "json": "log.jsonl"}
_BY_WORD: dict[str, Callable[[Path], Logger]] = {
    "csv": lambda folder: CSVLogger(folder / _FILES["csv"]),
    "json": lambda folder: JSONLogger(folder / _FILES["json"]),
    "tensorboard": lambda folder: TensorBoardLogger(folder / "tensorboard"),
    "wandb": lambda folder: WandbLogger(dir=str(folder)),
}


def make_loggers(
    given: Sequence[Any], folder: Path, *, anew: bool = False
) -> list[Logger]:
    """The loggers of a run, those given by a word in its folder.

    Args:
        given: words and loggers.
        folder: of the run.
        anew: whether what a file of ours there has from an older run goes.
    """
    made = []
    for logger in given:
        if isinstance(logger, str):
            if logger not in _BY_WORD:
                raise ArgumentValueError(
                    f"there is no logger {logger!r}",
                    remedy=f"one of {', '.join(_BY_WORD)}, or an object with the "
                    "methods log(step, values) and close().",
                )
            if anew and logger in _FILES:
                (folder / _FILES[logger]).unlink(missing_ok=True)
            logger = _BY_WORD[logger](folder)
        made.append(logger)
    return made
