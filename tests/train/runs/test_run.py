"""Run: the place in the data, what is measured, and going on after an interruption."""

import json
import re
import signal
import time

import numpy as np
import pytest

pytest.importorskip("rich")

import oakum as nnx
from oakum.errors import ArgumentError, CheckpointError, MissingExtraError
from oakum.train import Interrupted, Run
from oakum.train._extras import require

DATA = (np.arange(10, dtype=np.float32), np.arange(10, dtype=np.int32))


class Sum(nnx.Module):
    """Depends on the order of what it has seen, and on random numbers."""

    def __init__(self):
        self.total = nnx.Variable(np.zeros((), np.float32))
        self.rngs = nnx.Rngs(0)


@nnx.jit
def add(model, x):
    model.total.value = model.total.value * 0.5 + x.sum() + model.rngs.uniform()


def fit(folder, *, epochs=3, resume=False, stop_at=None, size=3, seed=0):
    """Run a loop, with a Ctrl-C in step `stop_at`, and give model, run and batches."""
    model, seen = Sum(), []
    run = Run(folder, resume=resume, model=model)
    try:
        with run:
            for epoch in run.epochs(epochs):
                for x, y in run.batches(DATA, size, seed):
                    assert (x == y).all()
                    add(model, x)
                    seen.append(x.tolist())
                    run.log(mean=x.mean())
                    if len(seen) == stop_at:
                        signal.raise_signal(signal.SIGINT)
                run.record(number=epoch)
    except Interrupted:
        assert stop_at
    return model, run, seen


def test_an_epoch_shows_each_row_once_and_each_epoch_another_order(tmp_path):
    _, _, seen = fit(tmp_path)
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:6])
    assert len(set(first)) == len(set(second)) == 9
    assert (first != second).any()


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 8, 9])
def test_interrupted_at_any_step_it_ends_as_if_it_were_not(tmp_path, stop_at):
    whole, whole_run, all_seen = fit(tmp_path / "whole")
    _, _, before = fit(tmp_path / "part", stop_at=stop_at)
    model, run, after = fit(tmp_path / "part", resume=True)
    assert before + after == all_seen
    assert len(before) == stop_at
    assert model.total.value == whole.total.value
    assert model.rngs.default.count.value == whole.rngs.default.count.value
    for row, expected in zip(run.history, whole_run.history, strict=True):
        assert row == pytest.approx(expected)


def test_a_resumed_run_can_be_longer(tmp_path):
    whole, _, _ = fit(tmp_path / "whole", epochs=4)
    fit(tmp_path / "part", epochs=2)
    model, run, _ = fit(tmp_path / "part", epochs=4, resume=True)
    assert model.total.value == whole.total.value
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]


def test_measures_are_means_over_the_epoch(tmp_path):
    _, run, seen = fit(tmp_path, epochs=1)
    assert run.history == [
        {"epoch": 1, "step": 3, "mean": pytest.approx(np.mean(seen)), "number": 0}
    ]
    assert json.loads((tmp_path / "run.json").read_text())["history"] == run.history


def test_an_epoch_leaves_a_line(tmp_path, capsys):
    fit(tmp_path, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "number 1.0000" in lines[1]
    assert lines[1].endswith(" steps/s")


def test_the_second_ctrl_c_stops_at_once_and_the_last_save_stands(tmp_path):
    def stop_twice():
        with Run(tmp_path, model=Sum()) as run:
            for _ in run.epochs(2):
                for _ in run.batches(DATA, 3, 0):
                    if run.epoch == 1:
                        signal.raise_signal(signal.SIGINT)
                        time.sleep(0.4)
                        signal.raise_signal(signal.SIGINT)
                        pytest.fail("was not stopped")

    with pytest.raises(KeyboardInterrupt) as caught:
        stop_twice()
    assert not isinstance(caught.value, Interrupted)
    assert Run(tmp_path, resume=True, model=Sum()).epoch == 1


def test_ctrl_c_that_comes_twice_at_once_is_one(tmp_path):
    def stop():
        with Run(tmp_path, model=Sum()) as run:
            for _ in run.epochs(2):
                for _ in run.batches(DATA, 3, 0):
                    signal.raise_signal(signal.SIGINT)  # from the terminal,
                    signal.raise_signal(signal.SIGINT)  # and from what started it

    with pytest.raises(Interrupted):
        stop()
    assert Run(tmp_path, resume=True, model=Sum()).batch == 1


def test_the_handler_of_ctrl_c_is_given_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    fit(tmp_path, epochs=1)
    assert signal.getsignal(signal.SIGINT) is before
    fit(tmp_path, stop_at=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_error_saves_nothing(tmp_path):
    def fail():
        with Run(tmp_path, model=Sum()) as run:
            for _ in run.epochs(1):
                raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_resume_names_the_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no run to resume") as caught:
        Run(tmp_path / "none", resume=True, model=Sum())
    assert str(tmp_path / "none") in str(caught.value)


@pytest.mark.parametrize("change", [{"size": 2}, {"seed": 1}], ids=["size", "seed"])
def test_other_batches_than_before_are_refused(tmp_path, change):
    fit(tmp_path, epochs=1)
    ((name, value),) = change.items()
    text = f"(?s)not .*{name}={value}.*the same size and seed in each epoch"
    with pytest.raises(CheckpointError, match=text):
        fit(tmp_path, resume=True, **change)


@pytest.mark.parametrize("size", [0, 11], ids=["none", "too_large"])
def test_batches_that_cannot_be_cut_are_refused(tmp_path, size):
    with pytest.raises(ArgumentError, match=f"batches of {size} rows"):
        fit(tmp_path, size=size)


def test_the_name_place_is_taken(tmp_path):
    with pytest.raises(ArgumentError, match="'place'"):
        Run(tmp_path, place=Sum())


def test_a_missing_extra_is_named_with_the_remedy():
    with pytest.raises(MissingExtraError, match=r"pip install 'oakum\[train\]'"):
        require("oakum_has_no_such_extra.part")


def test_a_run_says_which_older_one_it_replaces(tmp_path, capsys):
    def lines():
        return [x for x in capsys.readouterr().out.splitlines() if "replaces" in x]

    fit(tmp_path, epochs=2)
    assert not lines()
    fit(tmp_path, epochs=1)
    (line,) = lines()
    where = re.escape(str(tmp_path))
    expected = rf"replaces the run in {where} \(step 6, after epoch 2, saved 20\d\d-"
    assert re.match(expected, line)
    assert line.endswith("Run(..., resume=True) goes on with it")
    _, run, _ = fit(tmp_path, epochs=2, resume=True)
    assert not lines()
    assert json.loads((run.folder / "run.json").read_text())["replaced"]["step"] == 6


@pytest.mark.parametrize("text", ["{", "[]", '{"place": 3}'])
def test_a_run_json_of_another_program_is_no_older_run(tmp_path, capsys, text):
    (tmp_path / "run.json").write_text(text)
    fit(tmp_path, epochs=1)
    assert "replaces" not in capsys.readouterr().out


def test_the_logs_of_a_run_that_is_replaced_go_with_it(tmp_path):
    for epochs in (2, 1):
        with Run(tmp_path, model=Sum(), loggers=["csv", "json"]) as run:
            for _ in run.epochs(epochs):
                for x, _ in run.batches(DATA, 3, 0):
                    if epochs == 2:
                        run.log(old=x.mean())
                run.record(number=1)
    assert (tmp_path / "log.csv").read_text().split() == ["step,number", "3,1.0"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1
