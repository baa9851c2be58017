"""Loggers of a run, two measures by a word, and means over validation data."""

import json
import sys
import types

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, MissingExtraError
from oakum.train import CSVLogger, JSONLogger, Run, evaluate, learning_rate


class Collector:
    def __init__(self):
        self.rows, self.closed = [], False

    def log(self, step, values):
        self.rows.append((step, dict(values)))

    def close(self):
        self.closed = True


def train(folder, loggers, epochs=2, resume=False):
    with Run(folder, loggers=loggers, resume=resume, model=nnx.Dict()) as run:
        for epoch in run.epochs(epochs):
            for value in run.batches([1.0, 3.0]):
                run.log(loss=jnp.asarray(value))
            run.record(valid_loss=epoch)


def test_a_logger_gets_each_step_and_each_record(tmp_path):
    logger = Collector()
    train(tmp_path, [logger], epochs=1)
    last = (2, {"loss": 2.0, "valid_loss": 0.0})
    assert logger.rows == [(1, {"loss": 1.0}), (2, {"loss": 3.0}), last]
    assert logger.closed


def test_a_table_has_a_column_for_each_measure(tmp_path):
    train(tmp_path, ["csv"], epochs=1)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines == ["step,loss,valid_loss", "1,1.0,", "2,3.0,", "2,2.0,0.0"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_resumed_run_goes_on_in_its_log(tmp_path, kind):
    train(tmp_path / "whole", [kind])
    train(tmp_path / "part", [kind], epochs=1)
    train(tmp_path / "part", [kind], resume=True)
    name = {"csv": "log.csv", "json": "log.jsonl"}[kind]
    assert (tmp_path / "part" / name).read_text() == (
        tmp_path / "whole" / name
    ).read_text()


@pytest.mark.parametrize("make", [CSVLogger, JSONLogger])
def test_what_was_logged_after_the_place_gone_back_to_is_taken_away(tmp_path, make):
    for steps in ([1, 2, 3], [2]):
        logger = make(tmp_path / "log")
        for step in steps:
            logger.log(step, {"loss": step})
        logger.close()
    rows = (tmp_path / "log").read_text().splitlines()
    assert len([row for row in rows if "step,loss" not in row]) == 2


def test_a_line_of_json_for_each_step(tmp_path):
    train(tmp_path, ["json"], epochs=1)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"step": 2, "loss": 2.0, "valid_loss": 0.0}


def test_an_unknown_logger_lists_the_known_ones(tmp_path):
    with pytest.raises(ArgumentValueError, match=r"(?s)'xml'.*csv, json, tensorboard"):
        train(tmp_path, ["xml"])


@pytest.mark.parametrize("word", ["tensorboard", "wandb"])
def test_an_extra_that_is_missing_is_named(tmp_path, monkeypatch, word):
    module = {"tensorboard": "tensorboardX", "wandb": "wandb"}[word]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"oakum\[{word}\]"):
        train(tmp_path, [word])


TRANSFORMATIONS = {
    "alone": optax.inject_hyperparams(optax.adam)(0.5),
    "chained": optax.chain(optax.clip(1.0), optax.inject_hyperparams(optax.sgd)(0.5)),
    "steps": optax.MultiSteps(optax.inject_hyperparams(optax.sgd)(0.5), 2),
    "group": {
        nnx.PathContains("bias"): optax.adam(1.0),
        ...: optax.inject_hyperparams(optax.adam)(0.5),
    },
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_the_injected_learning_rate_is_found(name):
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, TRANSFORMATIONS[name], wrt=nnx.Param)
    assert float(learning_rate(optimizer)) == 0.5


def test_a_learning_rate_that_is_not_injected_says_how():
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1.0), wrt=nnx.Param)
    with pytest.raises(ArgumentValueError, match=r"inject_hyperparams\(optax.adam\)"):
        learning_rate(optimizer)


def test_the_norm_of_gradients_under_jit():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0), param_dtype=jnp.bfloat16)
    grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
    norm = nnx.jit(lambda grads: nnx.train.gradient_norm(grads))(grads)
    assert (norm.dtype, float(norm)) == (jnp.float32, pytest.approx(6**0.5))


@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_every_row_counts_once(size):
    data = (np.array([1.0, 2.0, 6.0]), np.zeros(3))
    assert evaluate(lambda x, y: {"m": x.mean()}, data, size) == {"m": 3.0}


def test_what_cannot_be_evaluated():
    with pytest.raises(ArgumentError, match=r"(?s)no batch.*again"):
        evaluate(lambda x: {}, [])
    with pytest.raises(ArgumentError, match=r"(?s)returns a int.*valid_loss"):
        evaluate(lambda x: 1, (np.zeros(3),))


class Writer:
    """Stands for the writers of tensorboardX and wandb: keeps what it is told."""

    def __init__(self, *args, **options):
        self.told = []

    def add_scalar(self, name, value, step):
        self.told.append((step, {name: value}))

    def log(self, values, step):
        self.told.append((step, values))

    def close(self):
        self.told.append("closed")

    finish = close


@pytest.mark.parametrize("word", ["tensorboard", "wandb"])
def test_measures_go_to_others(tmp_path, monkeypatch, word):
    writer = Writer()
    module = {"tensorboard": "tensorboardX", "wandb": "wandb"}[word]
    fake = types.ModuleType(module)
    fake.init = fake.SummaryWriter = lambda *args, **options: writer
    monkeypatch.setitem(sys.modules, module, fake)
    train(tmp_path, [word], epochs=1)
    assert writer.told[:2] == [(1, {"loss": 1.0}), (2, {"loss": 3.0})]
    assert writer.told[-1] == "closed"
