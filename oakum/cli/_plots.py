"""Pictures of a training run, as PNG files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..train._extras import require
from ..train._progress import is_share

_COLUMNS = 6
_MOST_IMAGES = 36


def plot_curves(path: str | Path, history: Sequence[Mapping[str, float]]) -> None:
    """Draws each measure of a run over the epochs.

    Measures whose name ends in `accuracy` share one plot, all others another.

    Args:
        path: the PNG file to write.
        history: a row of measures for each epoch, as `Run.history` has them.

    Example:
        >>> import tempfile
        >>> from oakum.cli import plot_curves
        >>> rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
        >>> plot_curves(tempfile.mkdtemp() + "/curves.png", rows)
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    names = [name for name in names if name != "epoch"]
    groups = [
        [name for name in names if not is_share(name)],
        [name for name in names if is_share(name)],
    ]
    groups = [group for group in groups if group] or [[]]
    figure = _make_figure(width=5 * len(groups), height=3.5)
    grid = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, group in zip(grid, groups, strict=True):
        for name in group:
            rows = [row for row in history if name in row]
            epochs = [row["epoch"] for row in rows]
            values = [row[name] * (100 if is_share(name) else 1) for row in rows]
            axes.plot(epochs, values, marker=".", label=name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if group:
            axes.set_ylabel("percent" if is_share(group[0]) else "")
            axes.legend()
    figure.savefig(path)


def plot_mistakes(path: str | Path, images: Any, labels: Any, guesses: Any) -> None:
    """Draws the images that were misclassified, each with what it was taken for.

    Args:
        path: the PNG file to write.
        images: grey images `(count, height, width)`, larger values drawn darker.
        labels: the true classes `(count,)`.
        guesses: the classes found `(count,)`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from oakum.cli import plot_mistakes
        >>> images, path = np.ones((2, 8, 8)), tempfile.mkdtemp() + "/mistakes.png"
        >>> plot_mistakes(path, images, labels=[1, 2], guesses=[1, 3])
    """
    images, labels, guesses = map(np.asarray, (images, labels, guesses))
    wrong = np.flatnonzero(labels != guesses)
    shown = wrong[:_MOST_IMAGES]
    rows = max(1, math.ceil(len(shown) / _COLUMNS))
    figure = _make_figure(width=1.4 * _COLUMNS, height=1.7 * rows + 0.6)
    figure.suptitle(f"{len(wrong)} of {len(labels)} misclassified")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, index in zip(grid, shown, strict=False):
        axes.imshow(images[index], cmap="gray_r")
        axes.set_title(f"{labels[index]} read as {guesses[index]}", fontsize=9)
    figure.savefig(path)


def _make_figure(*, width: float, height: float) -> Any:
    # Without pyplot, so that no window system and no global state is touched.
    figure = require("matplotlib.figure").Figure
    return figure(figsize=(width, height), dpi=120, layout="constrained")
