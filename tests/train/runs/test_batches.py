"""Where a run's batches come from, and how a resumed run goes on with them."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError
from oakum.train.runs import _progress

ROWS = np.arange(12.0, dtype=np.float32)


class Loader:
    """A loader that gives its own batches, in the same order each time."""

    def __len__(self):
        return 4

    def __iter__(self):
        return iter(ROWS.reshape(4, 3))


class Unsized:
    """A loader of which nobody knows how many batches it has."""

    def __iter__(self):
        return iter(ROWS.reshape(4, 3))


SOURCES = {
    "arrays": lambda run, data: run.batches((ROWS,), size=3, seed=0),
    "loader": lambda run, data: run.batches(Loader()),
    "unsized": lambda run, data: run.batches(Unsized()),
    "list of batches": lambda run, data: run.batches([{"x": r} for r in ROWS[:4]]),
    "stream": lambda run, data: run.batches(data),
}


class Stop(Exception):
    pass


def train(folder, source, save_at=None, leave="crash", resume=False):
    """Adds up what the batches hold; returns the sum weighed by the count of steps."""
    model = nnx.Dict(sum=nnx.Variable(np.zeros(())), steps=nnx.Variable(np.zeros(())))
    stream = iter(ROWS[:8].tolist()) if source == "stream" else None
    with nnx.train.Run(folder, model=model, resume=resume) as run:
        for _ in run.epochs(2):
            for count, batch in enumerate(SOURCES[source](run, stream), 1):
                value = batch["x"] if isinstance(batch, dict) else batch
                model.steps.value += 1
                model.sum.value += model.steps.value * np.sum(np.asarray(value))
                run.log(sum=1.0)
                if model.steps.value == save_at:
                    run.save()
                    raise Stop
                if source == "stream" and count == 4:
                    break
            run.record()
    return float(model.sum.value), float(model.steps.value)


@pytest.mark.parametrize("save_at", [1, 3, 4, 6])
@pytest.mark.parametrize("source", SOURCES)
def test_saved_in_an_epoch_it_resumes_to_the_same_end(tmp_path, source, save_at):
    whole = train(tmp_path / "whole", source)
    assert whole[1] == 8
    with pytest.raises(Stop):
        train(tmp_path / "two", source, save_at)
    assert train(tmp_path / "two", source, resume=True) == whole


WRONG = {
    "no size": (lambda r: r.batches((ROWS,), seed=0), r"(?s)size is missing.*size=64"),
    "no seed": (lambda r: r.batches((ROWS,), size=3), r"(?s)seed is missing.*seed=0"),
    "size of a loader": (lambda r: r.batches(Loader(), size=3), r"(?s)Loader.*loader"),
    "no batches": (lambda r: r.batches(3), r"(?s)a int is neither.*batches\(loader\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_source_of_batches(tmp_path, case):
    make, match = WRONG[case]
    with nnx.train.Run(tmp_path) as run, pytest.raises(ArgumentError, match=match):
        next(iter(make(run)))


@pytest.fixture
def now(monkeypatch):
    """The time that a progress bar is told, in a list."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "perf_counter", lambda: now[0])
    return now


def test_plain_lines_tell_the_time_left(capsys, now):
    progress = _progress.Progress()
    progress.begin("epoch 1/2", 0, 400)
    now[0] = 4.0
    assert not progress.is_due(1)  # which it took to compile
    now[0] = 9.0
    assert not progress.is_due(5)
    now[0] = 4.0 + 19.6
    assert progress.is_due(50)
    progress.draw(50, {"loss": 0.5})
    line = "epoch 1/2  50/400  loss 0.5000  2.5 steps/s  2:20 left\n"
    assert capsys.readouterr().out == line


def test_a_first_step_that_compiles_long_foretells_no_time(capsys, now):
    progress = _progress.Progress()
    progress.begin("step", 0, 101)
    now[0] = 60.0
    assert progress.is_due(1)
    progress.draw(1, {"loss": 0.5})
    now[0] = 80.0
    assert progress.is_due(41)
    progress.draw(41, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first == "step  1/101  loss 0.5000"
    assert second == "step  41/101  2 steps/s  0:30 left"


TIMES = {0.2: "0:00", 7: "0:07", 75: "1:15", 3753: "1:02:33"}


@pytest.mark.parametrize("seconds", TIMES)
def test_times_as_people_read_them(seconds):
    assert _progress.format_seconds(seconds) == TIMES[seconds]


def test_without_rich_there_are_plain_lines(monkeypatch):
    def missing(module):
        raise nnx.errors.MissingExtraError(module)

    monkeypatch.setattr(_progress, "require", missing)
    assert type(_progress.make_progress()) is _progress.Progress


class Display:
    """Stands for `IPython.display`: keeps what is shown."""

    HTML = str

    def __init__(self):
        self.shown = []

    def display(self, html, display_id):
        return self

    def update(self, html):
        self.shown.append(html)


def test_a_notebook_has_a_bar_that_updates():
    display = Display()
    bar = _progress.NotebookBar(display)
    bar.open()
    bar.begin("epoch 1/2", 0, 40)
    assert not bar.is_due(1)
    bar.draw(10, {"a<b": 0.5})
    bar.close()
    shown, cleared = display.shown
    assert '<progress value="10" max="40"></progress>' in shown
    assert "10/40  a&lt;b 0.5000" in shown
    assert cleared == ""


def test_a_kernel_is_a_notebook(monkeypatch):
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=1)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert type(_progress.make_progress()) is _progress.NotebookBar
