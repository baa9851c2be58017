"""The curves of a run, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._extras import require
from ..checkpoint._processes import is_first_process
from ._history import is_share


def plot_curves(path: str | Path, history: Sequence[Mapping[str, float]]) -> Any:
    """Draws each measure of a run over its epochs, or steps.

    Measures whose name ends in `accuracy` share one plot, all others another.

    Args:
        path: the PNG file to write.
        history: rows of measures with their epoch or step, as `Run.history` has them.

    Returns:
        The figure, of matplotlib.

    Example:
        >>> import tempfile
        >>> from oakum.cli import plot_curves
        >>> rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
        >>> _ = plot_curves(tempfile.mkdtemp() + "/curves.png", rows)
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    axis = "epoch" if "epoch" in names else "step"
    groups: dict[bool, list[str]] = {}
    for name in sorted(names, key=is_share):
        if name not in ("epoch", "step"):
            groups.setdefault(is_share(name), []).append(name)
    plots = list(groups.values()) or [[]]
    figure = make_figure(width=5 * len(plots), height=3.5)
    grid = figure.subplots(1, len(plots), squeeze=False)[0]
    for axes, group in zip(grid, plots, strict=True):
        _draw(axes, group, history, axis)
    save_figure(figure, path)
    return figure


def _draw(
    axes: Any, names: list[str], history: Sequence[Mapping[str, float]], axis: str
) -> None:
    """One plot, of measures that share a scale."""
    for name in names:
        rows = [row for row in history if name in row]
        places = [row[axis] for row in rows]
        values = [row[name] * (100 if is_share(name) else 1) for row in rows]
        axes.plot(places, values, marker=".", label=name.replace("_", " "))
    axes.set_xlabel(axis)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if names:
        axes.set_ylabel("percent" if is_share(names[0]) else "")
        axes.legend()


def make_figure(*, width: float, height: float) -> Any:
    """An empty figure of matplotlib."""
    # Without pyplot, so that no window system and no global state is touched.
    figure = require("matplotlib.figure").Figure
    return figure(figsize=(width, height), dpi=120, layout="constrained")


def save_figure(figure: Any, path: str | Path) -> None:
    """Writes a picture, of several processes from the first."""
    if is_first_process():
        figure.savefig(path)
