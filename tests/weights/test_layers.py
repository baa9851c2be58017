"""Each layer with the weights of PyTorch's computes what that computes, and back.

`scripts/torch_layers.py` wrote the weights, inputs and outputs.
"""

import functools
import importlib
import inspect
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.weights import recipes
from tests.weights.families import open_source
from tests.weights.layers import ACTIVATIONS, POOLS, ROWS, ways

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
layer_table = importlib.import_module("layer_table")
PLAIN = {name for name in ACTIVATIONS if not name.startswith("prelu")}

FILE = Path(__file__).parent / "layers.safetensors"
SCALINGS = json.loads(FILE.with_name("scalings.json").read_text())
NAMES = {**vars(recipes), "functools": functools, "jax": jax}
LAYERS = {
    f"{name}-{number}" if number else name: (name, row, text)
    for name, row in ROWS.items()
    for number, text in enumerate(ways(row))
}
WITH_WEIGHTS = {
    case: given for case, given in LAYERS.items() if given[0] not in {*POOLS, *PLAIN}
}


@functools.cache
def _tensors():
    source = open_source(FILE)
    return {name: np.array(source.view(name)) for name in source.tensors}


def _state(name):
    start = f"{name}.state."
    found = [(k, x) for k, x in _tensors().items() if k.startswith(start)]
    return {k.removeprefix(start): x for k, x in found}


def _made(text):
    def make():
        return eval(text, {**NAMES, "rngs": nnx.Rngs(0)})

    # Recurrent layers keep streams for the carry, which no file has.
    return make() if "nn(" in text or "bidir" in text else nnx.eval_shape(make)


def _loaded(case):
    name, row, text = LAYERS[case]
    if case not in WITH_WEIGHTS:
        return eval(text, NAMES)
    model = _made(text)
    nnx.weights.load(model, _state(name), row.rules)
    model.eval()
    return model


def _call(model, case):
    name, row, _ = LAYERS[case]
    x = jnp.asarray(_tensors()[f"{name}.in"])
    x = jnp.moveaxis(x, 1, -1) if row.last else x
    out = model(*eval(f"({row.inputs},)", {"x": x}))
    out = out[1] if name.endswith("_cell") else out  # beside the carry
    return jnp.moveaxis(out, -1, 1) if row.last else out


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_pytorch_computes(case):
    out, name = _call(_loaded(case), case), LAYERS[case][0]
    atol = 4e-4 if name == "large_mean" else 3e-6
    np.testing.assert_allclose(out, _tensors()[f"{name}.out"], atol=atol, rtol=1e-5)


@pytest.mark.parametrize("case", WITH_WEIGHTS)
def test_a_layer_is_written_as_pytorch_writes_it(case, tmp_path):
    model, (name, row, text) = _loaded(case), LAYERS[case]
    nnx.weights.save(model, tmp_path, row.rules)
    source, state = open_source(tmp_path), _state(name)
    assert set(source.tensors) == set(state)
    if row.one_way:
        other = _made(text)
        nnx.weights.load(other, tmp_path, row.rules)
        np.testing.assert_array_equal(_call(other, case), _call(model, case))
        return
    for name in state:
        assert source.dtype(name) == state[name].dtype
        np.testing.assert_array_equal(source.view(name), state[name])


def test_the_table_of_the_docs_is_that_of_the_tests():
    assert layer_table.PAGE.read_text("utf-8") == layer_table.page()


def test_every_layer_of_pytorch_with_weights_is_in_the_table():
    torch = pytest.importorskip("torch")
    kinds = vars(torch.nn.modules)["__all__"]
    page, missing = layer_table.PAGE.read_text("utf-8"), []
    for kind in kinds:
        text = inspect.getsource(getattr(torch.nn, kind))
        weights = "Parameter(" in text or "Linear(" in text or "_ConvNd" in text
        plain = kind.removeprefix("Lazy").removeprefix("Sync")
        if weights and plain[:-2] not in page:
            missing.append(kind)
    assert set(missing) <= {
        *("ParameterList", "ParameterDict", "ModuleList"),
        *("RNNBase", "RNNCellBase", "Unflatten", "LinearCrossEntropyLoss"),
    }


@pytest.mark.parametrize("name", ["batch_norm_train", "batch_norm_average"])
def test_batch_norm_trains_as_in_pytorch(name):
    momentum = 0.9 if name == "batch_norm_train" else None
    model = nnx.BatchNorm(
        3,
        momentum=momentum,
        unbiased_variance=True,
        epsilon=1e-5,
        use_fast_variance=False,
        rngs=nnx.Rngs(0),
    )
    nnx.weights.load(model, _state(name))
    x = jnp.asarray(_tensors()[f"{name}.in"])
    out = [model(x * (1 + step)) for step in range(3)][-1]
    np.testing.assert_allclose(out, _tensors()[f"{name}.out"], atol=3e-6)
    for stat, theirs in (("mean", "running_mean"), ("var", "running_var")):
        expected = _tensors()[f"{name}.after.{theirs}"]
        np.testing.assert_allclose(getattr(model, stat), expected, rtol=1e-5)
    if momentum is None:
        assert model.count.value == _tensors()[f"{name}.after.num_batches_tracked"]


@pytest.mark.parametrize("name", SCALINGS)
def test_positions_turn_as_transformers_turns_them(name):
    kind = name.split("_")[0]
    scaling = {"rope_type": kind, "max_position_embeddings": 64, **SCALINGS[name]}
    rope = nnx.RoPE(100.0, scaling=scaling)
    first = jnp.concatenate([jnp.ones((200, 4)), jnp.zeros((200, 4))], -1)
    cosine, sine = jnp.split(rope(first), 2, -1)
    expected = _tensors()[f"rope.{name}"]
    np.testing.assert_allclose(cosine, expected[0], atol=1e-4)
    np.testing.assert_allclose(sine, expected[1], atol=1e-4)
