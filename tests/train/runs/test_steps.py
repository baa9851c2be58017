"""Run: steps in place of epochs, checkpoints in between, and which of them stay."""

import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, CheckpointError
from oakum.train import Run
from oakum.train.runs import _kept

ROWS = (np.arange(10.0, dtype=np.float32),)


class Crash(Exception):
    pass


def train(folder, count=10, *, crash_at=None, resume=False, data=ROWS, **options):
    """Weighs each batch by its step, so that the sum depends on the order."""
    model = nnx.Dict(sum=nnx.Variable(np.zeros(())))
    cut = {"size": 3, "seed": 0} if data is ROWS else {}
    with Run(folder, model=model, resume=resume, **options) as run:
        for (x,) in run.steps(count, data, **cut):
            model.sum.value = model.sum.value * 0.5 + np.sum(x)
            run.log(sum=np.sum(x))
            if run.every(4):
                run.record()
            if run.step + 1 == crash_at:
                raise Crash
    return float(model.sum.value), run


def test_steps_go_on_over_the_epochs(tmp_path):
    _, run = train(tmp_path, 10)
    assert (run.epoch, run.batch, run.step) == (3, 1, 10)
    assert [row["step"] for row in run.history] == [4, 8]
    assert "epoch" not in run.history[0]


@pytest.mark.parametrize("crash_at", [3, 4, 6, 9])
def test_after_a_crash_it_goes_on_from_the_last_due_checkpoint(tmp_path, crash_at):
    whole, expected = train(tmp_path / "whole")
    with pytest.raises(Crash):
        train(tmp_path / "part", crash_at=crash_at, save_steps=2)
    resumed, run = train(tmp_path / "part", resume=True)
    assert (resumed, run.history) == (whole, expected.history)


def test_a_run_of_more_steps_goes_on(tmp_path):
    whole, _ = train(tmp_path / "whole", 12)
    train(tmp_path / "part", 9)
    assert train(tmp_path / "part", 12, resume=True)[0] == whole


def test_a_record_has_the_means_since_the_last_one(tmp_path):
    _, run = train(tmp_path, 8, data=[(np.array(float(i)),) for i in range(8)])
    assert [row["sum"] for row in run.history] == [1.5, 5.5]


def test_the_last_checkpoints_stay_and_each_can_be_gone_on_from(tmp_path):
    whole, run = train(tmp_path, save_steps=2, keep=3)
    assert run.checkpoints == [6, 8, 10]
    again, run = train(tmp_path, resume=6, keep=3)
    assert again == whole
    assert [row["step"] for row in run.history] == [4, 8]


def test_a_checkpoint_that_did_not_stay_lists_those_that_did(tmp_path):
    train(tmp_path, save_steps=2, keep=2)
    with pytest.raises(CheckpointError, match=r"at step 4; there is \[8, 10\]"):
        train(tmp_path, resume=4)


def test_a_new_run_takes_the_checkpoints_of_the_old_one_away(tmp_path):
    train(tmp_path, save_steps=2, keep=3)
    _, run = train(tmp_path, 4, save_steps=2, keep=3)
    assert run.checkpoints == [2, 4]


def test_a_checkpoint_is_due_after_minutes(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_kept.time, "perf_counter", lambda: now[0])
    kept = _kept.Kept(tmp_path, None, 2, 1)
    now[0] = 119.0
    assert not kept.is_due(1)
    now[0] = 121.0
    assert kept.is_due(2)
    kept.note()
    assert not kept.is_due(3)


@pytest.mark.parametrize("option", ["save_steps", "save_minutes", "keep"])
def test_numbers_that_mean_nothing_are_refused(tmp_path, option):
    with pytest.raises(ArgumentValueError, match=rf"(?s){option}=0.*above 0"):
        Run(tmp_path, **{option: 0})


def test_data_without_a_batch_does_not_loop_for_ever(tmp_path):
    with pytest.raises(ArgumentError, match=r"(?s)no batch in a dict_keys.*each time"):
        train(tmp_path, data={}.keys())


def test_a_stream_that_ends_ends_the_run(tmp_path):
    _, run = train(tmp_path, data=iter([(np.ones(3),)] * 5))
    assert run.step == 5
