"""Pictures of a run."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from oakum.cli import plot_mistakes

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
