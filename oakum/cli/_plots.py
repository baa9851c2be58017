"""Pictures of a training run, as PNG files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..train.runs._plots import make_figure, save_figure
from ..train.runs._plots import plot_curves as plot_curves

_COLUMNS = 6
_MOST_IMAGES = 36


def plot_mistakes(
    path: str | Path, images: Any, labels: Any, guesses: Any, certainty: Any = None
) -> Any:
    """Draws the images that were misclassified, or nearly so.

    Args:
        path: the PNG file to write.
        images: grey images `(count, height, width)`, larger values drawn darker.
        labels: the true classes `(count,)`.
        guesses: the classes found `(count,)`.
        certainty: how sure each guess was, from 0 to 1 `(count,)`. The mistakes come
            first, each with what it was taken for, then the least certain of the rest,
            so that there is something to see where none is wrong.

    Returns:
        The figure, of matplotlib.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from oakum.cli import plot_mistakes
        >>> images, path = np.ones((2, 8, 8)), tempfile.mkdtemp() + "/mistakes.png"
        >>> _ = plot_mistakes(path, images, labels=[1, 2], guesses=[1, 3])
    """
    images, labels, guesses = map(np.asarray, (images, labels, guesses))
    wrong = np.flatnonzero(labels != guesses)
    shown = wrong
    if certainty is not None:
        certainty = np.asarray(certainty)
        order = np.argsort(certainty, kind="stable")
        shown = np.concatenate([wrong, order[(labels == guesses)[order]]])
    shown = shown[:_MOST_IMAGES]
    rows = max(1, math.ceil(len(shown) / _COLUMNS))
    figure = make_figure(width=1.4 * _COLUMNS, height=1.7 * rows + 0.6)
    figure.suptitle(f"{len(wrong)} of {len(labels)} misclassified")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, index in zip(grid, shown, strict=False):
        axes.imshow(images[index], cmap="gray_r")
        title = f"{labels[index]} read as {guesses[index]}"
        if certainty is not None and labels[index] == guesses[index]:
            title = f"{labels[index]}, {certainty[index]:.0%} sure"
        axes.set_title(title, fontsize=9)
    save_figure(figure, path)
    return figure
