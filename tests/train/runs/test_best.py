"""Run: the best record, its weights, and when to stop."""

import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, CheckpointError
from oakum.train import Run

LOSSES = [3.0, 1.0, 2.0, 2.5, 4.0]


def train(folder, values=LOSSES, best="valid_loss", patience=9, resume=False, **more):
    model = nnx.Dict(epoch=nnx.Variable(np.zeros(())))
    with Run(folder, best=best, resume=resume, model=model, **more) as run:
        for epoch in run.epochs(len(values)):
            model.epoch.value = np.array(epoch + 1.0)
            run.record(**{best or "valid_loss": values[epoch]})
            if run.is_stale(patience):
                break
    return model, run


def test_the_best_weights_come_back(tmp_path):
    model, run = train(tmp_path)
    assert model.epoch.value == 5
    run.load_best()
    assert model.epoch.value == 2
    assert run.best == {"epoch": 2, "step": 0, "valid_loss": 1.0}


def test_it_is_stale_after_as_many_records_without_a_better_one(tmp_path):
    _, run = train(tmp_path, patience=2)
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]


DIRECTIONS = {
    "loss": ("loss", None, 2),
    "accuracy": ("valid_accuracy", None, 5),
    "reward": ("reward", True, 5),
    "lower accuracy": ("accuracy", False, 2),
}


@pytest.mark.parametrize("case", DIRECTIONS)
def test_what_is_better(tmp_path, case):
    best, higher, epoch = DIRECTIONS[case]
    _, run = train(tmp_path, best=best, higher=higher)
    assert run.best["epoch"] == epoch


def test_nan_is_never_the_best(tmp_path):
    nan = float("nan")
    assert train(tmp_path / "a", [nan, 2.0, nan])[1].best["epoch"] == 2
    assert train(tmp_path / "b", [nan, nan])[1].best is None


def test_the_best_of_before_is_known_after_a_resume(tmp_path):
    train(tmp_path, LOSSES[:3])
    model, run = train(tmp_path, resume=True)
    run.load_best()
    assert (model.epoch.value, run.best["epoch"]) == (2, 2)


def test_a_record_without_the_measure_names_those_that_it_has(tmp_path):
    with Run(tmp_path, best="valid_loss", watch=None) as run:
        for _ in run.epochs(1):
            with pytest.raises(ArgumentError, match=r"(?s)'valid_loss'.*has loss.*rec"):
                run.record(loss=1.0)


def test_a_run_without_a_best_says_how_to_keep_one(tmp_path):
    _, run = train(tmp_path, best=None)
    with pytest.raises(ArgumentError, match=r"(?s)no best record.*best="):
        run.load_best()


def test_a_new_run_drops_the_best_of_the_one_that_it_replaces(tmp_path):
    train(tmp_path)
    _, run = train(tmp_path, [float("nan")])
    assert not (tmp_path / "best.safetensors").exists()
    with pytest.raises(
        CheckpointError, match=r"(?s)no record.*run\.record\(valid_loss"
    ):
        run.load_best()


def test_other_files_beside_a_run_stay(tmp_path):
    (tmp_path / "best.safetensors").write_text("of another program")
    train(tmp_path, best=None)
    assert (tmp_path / "best.safetensors").exists()


def test_the_best_of_a_later_step_than_was_gone_back_to_is_refused(tmp_path):
    model = nnx.Dict(x=nnx.Variable(np.zeros(())))
    losses = {"keep": 9, "best": "loss", "model": model}
    with Run(tmp_path, **losses) as run:
        for step, _ in enumerate(run.steps(3, [1])):
            run.record(loss=3.0 - step)
            run.save()
    with Run(tmp_path, resume=1, **losses) as run:
        with pytest.raises(CheckpointError, match=r"step 1.*kept is of step 3"):
            run.load_best()
        for _ in run.steps(2, [1]):
            run.record(loss=0.5)
    run.load_best()


def test_the_curves_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    _, run = train(tmp_path)
    run.plot()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", ["best", "watch"])
def test_an_object_where_a_measure_is_named(tmp_path, option):
    with pytest.raises(ArgumentError, match=rf"(?s){option}=.*a Dict.*another name"):
        Run(tmp_path, **{option: nnx.Dict()})
