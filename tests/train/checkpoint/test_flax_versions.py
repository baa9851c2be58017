"""Folders that flax wrote, in each version's layout (`scripts/flax_folders.py`)."""

import json
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import CheckpointError

ocp = pytest.importorskip("orbax.checkpoint")
DATA = Path(__file__).parent / "data"
VERSIONS = ["0.10.0", "0.10.7", "0.11.2", "0.12.12"]


class Network(nnx.Module):
    def __init__(self, rngs):
        self.layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(2)]
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.first, self.second = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))
        self.rnn = nnx.RNN(nnx.LSTMCell(2, 2, rngs=rngs))
        self.tied = self.layers[0].bias

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        x = self.second(self.first(self.norm(x))) + self.tied[...][None]
        return self.rnn(x[None])[0]


def make():
    model = Network(nnx.Rngs(5, dropout=6))
    return model, nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)


def unpack(version, folder):
    with zipfile.ZipFile(DATA / f"flax-{version}.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_of_this_version_loads(version, tmp_path):
    model, optimizer = make()
    nnx.load(unpack(version, tmp_path), model=model, optimizer=optimizer)
    assert int(optimizer.step.value) == 2
    assert model.tied is model.layers[0].bias
    model.eval()
    given = model(jnp.linspace(-1.0, 1.0, 8).reshape(4, 2))
    expected = json.loads((tmp_path / "expected.json").read_text())
    np.testing.assert_allclose(given, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("version", ["0.10.0", "0.10.7"])
def test_one_rngs_of_all_layers_gives_its_stream_to_the_first(version, tmp_path):
    model, optimizer = make()
    kept = model.second.rngs.count.value, model.second.rngs.key.value
    nnx.load(unpack(version, tmp_path), model=model, optimizer=optimizer)
    assert int(model.first.rngs.count.value) == 4  # of `dropout`; `default` drew more
    assert (model.second.rngs.count.value, model.second.rngs.key.value) == kept


def test_an_optimizer_that_held_its_model_gives_it_to_one_that_does(tmp_path):
    folder = unpack("0.10.7", tmp_path)
    model, _ = make()
    with pytest.raises(
        CheckpointError, match=r"(?s)model.*name both.*\(model, tx, wrt="
    ):
        nnx.load(folder, optimizer=make()[1])
    bound = nnx.Optimizer(model, optax.adam(0.1))
    nnx.load(folder, optimizer=bound)
    other, slots = make()
    nnx.load(folder, model=other, optimizer=slots)
    assert (other.layers[1].kernel[...] == model.layers[1].kernel[...]).all()
