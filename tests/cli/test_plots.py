"""Pictures of a run."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from oakum.cli import plot_curves, plot_mistakes

IMAGES = np.zeros((3, 8, 8))


def titles(path, guesses, certainty):
    figure = plot_mistakes(path, IMAGES, [0, 1, 2], guesses, certainty)
    return [axes.get_title() for axes in figure.axes if axes.images]


CASES = {
    "mistakes alone": ([0, 2, 2], None, ["1 read as 2"]),
    "mistakes first": (
        [0, 1, 0],
        [0.5, 0.4, 0.9],
        ["2 read as 0", "1, 40% sure", "0, 50% sure"],
    ),
    "none wrong": (
        [0, 1, 2],
        [0.9, 0.4, 0.6],
        ["1, 40% sure", "2, 60% sure", "0, 90% sure"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes_come_first_and_then_the_least_certain(tmp_path, case):
    guesses, certainty, expected = CASES[case]
    assert titles(tmp_path / "mistakes.png", guesses, certainty) == expected


def test_the_marks_of_epochs_are_whole_numbers(tmp_path):
    rows = [{"epoch": epoch, "loss": 1.0 / epoch} for epoch in (1, 2)]
    (axes,) = plot_curves(tmp_path / "curves.png", rows).axes
    assert all(float(place).is_integer() for place in axes.get_xticks())


def test_only_the_first_process_writes_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("oakum.train.runs._plots.is_first_process", lambda: False)
    plot_curves(tmp_path / "curves.png", [])
    assert not (tmp_path / "curves.png").exists()
