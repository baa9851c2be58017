"""Run with checkpoints in folders: the same run, saved in the background."""

import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint")

import oakum as nnx
from oakum.errors import ArgumentError, CheckpointError
from oakum.train import Run

ROWS = (np.arange(10.0, dtype=np.float32),)


class Crash(Exception):
    pass


def train(folder, epochs=3, *, crash_at=None, resume=False, **options):
    """Weighs each batch by its step, so that the sum depends on the order."""
    model = nnx.Dict(sum=nnx.Variable(np.zeros(())))
    with Run(folder, background=True, model=model, resume=resume, **options) as run:
        for _ in run.epochs(epochs):
            for (x,) in run.batches(ROWS, size=3, seed=0):
                model.sum.value = model.sum.value * 0.5 + np.sum(x)
                run.log(sum=np.sum(x))
                if run.step + 1 == crash_at:
                    raise Crash
            run.record(valid_loss=abs(run.epoch - 1))
    return model, run


def test_after_a_crash_it_ends_with_the_same_bits(tmp_path):
    whole, expected = train(tmp_path / "whole")
    with pytest.raises(Crash):
        train(tmp_path / "part", crash_at=6, save_steps=2)
    again, run = train(tmp_path / "part", resume=True)
    assert (again.sum.value, run.history) == (whole.sum.value, expected.history)


def test_the_last_steps_stay_and_a_step_can_be_gone_back_to(tmp_path):
    whole, run = train(tmp_path, save_steps=2, keep=3)
    assert run.checkpoints == [6, 8, 9]
    again, run = train(tmp_path, resume=6, keep=3)
    assert again.sum.value == whole.sum.value
    assert run.checkpoints == [6, 9]


def test_a_new_run_replaces_the_steps_of_the_old_one(tmp_path):
    train(tmp_path, keep=3)
    _, run = train(tmp_path, 1, keep=3)
    assert run.checkpoints == [3]


@pytest.mark.parametrize("background", [True, False])
def test_a_new_run_leaves_nothing_of_one_of_the_other_kind(tmp_path, background):
    objects = {"best": "loss", "model": nnx.Dict(x=nnx.Variable(np.zeros(())))}
    for kind in (not background, background):
        with Run(tmp_path, background=kind, keep=2, **objects) as run:
            for _ in run.steps(2, [1]):
                run.record(loss=run.step)
    names = {path.name for path in tmp_path.iterdir()} - {"run.json"}
    if background:
        assert names == {"checkpoints", "best"}
    else:
        assert names == {
            f"{n}.safetensors" for n in ("checkpoint", "checkpoint-2", "best")
        }


def test_objects_may_be_named_as_what_a_save_takes(tmp_path):
    objects = {n: nnx.Dict(x=nnx.Variable(np.ones(()))) for n in ("metrics", "step")}
    with Run(tmp_path, background=True, best="a", **objects) as run:
        for _ in run.steps(1, [1]):
            run.record(a=1.0)
    objects["metrics"].x.value = np.zeros(())
    Run(tmp_path, background=True, resume=True, **objects)
    assert float(objects["metrics"].x) == 1


def test_the_best_comes_back(tmp_path):
    model, run = train(tmp_path, best="valid_loss")
    last = float(model.sum.value)
    run.load_best()
    assert run.best["epoch"] == 2
    assert model.sum.value != last


def test_steps_that_nobody_counts_are_told_of(tmp_path):
    def run_without_batches():
        with Run(tmp_path, background=True, model=nnx.Dict(x=np.ones(1))) as run:
            for _ in run.epochs(2):
                pass

    with pytest.raises(ArgumentError, match=r"(?s)still 0.*run.batches"):
        run_without_batches()


def test_nothing_to_resume_names_the_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(tmp_path / "none", resume=True)
