"""Checkpoints with other weights, where PyTorch and transformers are installed."""

import importlib
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.weights import families

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
tiny_checkpoints = importlib.import_module("tiny_checkpoints")
MAKERS = {make.__name__: make for make in tiny_checkpoints.FAMILIES}


@pytest.mark.parametrize("family", families.MAKERS)
def test_a_checkpoint_made_anew_gives_the_same_logits(family, tmp_path):
    tiny_checkpoints.make(MAKERS[family], tmp_path, seed=1)
    expected = families.arrays(tmp_path / "expected.safetensors")
    model = families.module(family).load(tmp_path)
    given = families.inputs(family, expected)
    np.testing.assert_allclose(model(*given), expected["logits"], atol=1e-5)
    if family in families.DECODERS:
        prompt = jnp.asarray(expected["tokens"])[:, :150]
        tokens = nnx.generate(model, prompt, model.init_caches(1, 173), 24)
        np.testing.assert_array_equal(tokens, expected["greedy"])
