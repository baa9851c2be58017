"""The examples learn: a few steps at small sizes follow the curve recorded of them.

OAKUM_RECORD=1 python -m pytest tests/examples    # records the curves anew
"""

import json
import os
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.cli._recipes import find_recipes, import_recipe

pytest.importorskip("sklearn")
CURVES = Path(__file__).parent / "curves.json"
STEPS = 8


def code(rows=4, length=17):
    letters = np.frombuffer(b"a letter and a digit 1", np.uint8).astype(np.int32)
    return np.random.default_rng(0).choice(letters, (rows, length))


def digits(rows=8):
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images[:rows].astype("float32"), data.target[:rows].astype("int32")


def train(step, model, *batch):
    """The loss of each step, all with the same batch."""
    optimizer = nnx.ModelAndOptimizer(model, optax.adam(1e-2))
    return [float(step(optimizer, *batch)) for _ in range(STEPS)]


def lora(module):
    model = module.transformer.Model(32, 1, rngs=nnx.Rngs(0))
    nnx.add_lora(model, nnx.Linear, rank=2, rngs=nnx.Rngs(1))
    return train(module.transformer.train_step, model, code())


RUNS = {
    "transformer": lambda module: train(
        module.train_step, module.Model(32, 1, rngs=nnx.Rngs(0)), code()
    ),
    "lora": lora,
    "resnet": lambda module: train(
        module.train_step, module.Model(2, rngs=nnx.Rngs(0)), nnx.Rngs(1), *digits()
    ),
    "vit": lambda module: train(
        module.resnet.train_step,
        module.Model(8, 1, rngs=nnx.Rngs(0)),
        nnx.Rngs(1),
        *digits(),
    ),
    "vae": lambda module: train(
        module.train_step,
        module.Model(2, rngs=nnx.Rngs(0)),
        digits()[0].reshape(-1, 64) / 16,
    ),
    "lstm_tagger": lambda module: train(
        module.train_step, module.Model(8, rngs=nnx.Rngs(0)), *module.generate(8, 0)
    ),
    "moe": lambda module: train(
        module.train_step, module.Model(4, rngs=nnx.Rngs(0)), *module.generate(32, 0)
    ),
}


def load(name):
    return import_recipe(find_recipes()[name].path)


@pytest.fixture(autouse=True)
def loose_promotion():
    """What users write, with jax as users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", RUNS)
def test_an_example_follows_its_recorded_curve(name):
    curves = json.loads(CURVES.read_text()) if CURVES.exists() else {}
    losses = RUNS[name](load(name))
    if os.environ.get("OAKUM_RECORD"):
        curves[name] = [round(loss, 5) for loss in losses]
        lines = [f'"{key}": {json.dumps(curve)}' for key, curve in curves.items()]
        CURVES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    assert losses[-1] < 0.98 * losses[0]
    np.testing.assert_allclose(losses, curves[name], rtol=5e-3)


def test_every_example_has_a_curve_or_a_test_of_its_own():
    own = {"digits", "chars", "parallel_transformer"}
    assert set(find_recipes()) == {*RUNS, *own}


def test_the_transformer_writes_with_its_cache_what_it_would_without():
    module = load("transformer")
    model = module.Model(32, 2, rngs=nnx.Rngs(0))
    codes, caches = code(2, 8), model.make_caches(2)
    parts = [codes[:, :5], *np.split(codes[:, 5:], 3, axis=1)]
    logits = [module.predict(model, part, caches) for part in parts]
    expected = nnx.jit(module.Model.__call__)(model, codes)
    np.testing.assert_allclose(logits[0], expected[:, 4], atol=1e-5)
    np.testing.assert_allclose(logits[-1], expected[:, -1], atol=1e-5)
    assert len(module.write(model, b"def ", 3, nnx.Rngs(0))) == 7


def test_a_mixture_of_experts_sends_each_row_to_one_expert():
    module = load("moe")
    model, (x, _) = module.Model(4, rngs=nnx.Rngs(0)), module.generate(32, 0)
    probs = nnx.softmax(model.router(x))
    best = np.asarray(probs.argmax(axis=-1))
    assert np.bincount(best, minlength=4).max() <= 16  # there is room for all
    outs = nnx.vmap(lambda expert, x: expert(x), in_axes=(0, None))(model.experts, x)
    rows = np.arange(32)
    expected = np.asarray(outs)[best, rows] * np.asarray(probs)[rows, best, None]
    np.testing.assert_allclose(model(x)[0], expected, atol=1e-5)
