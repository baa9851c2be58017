"""The example models compute what transformers computes, with the same files."""

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.weights import families

DECODERS = ["llama"]
STACKED = ["llama"]
PROMPT = 150


@pytest.mark.parametrize("family", families.MAKERS)
def test_logits_are_those_of_transformers(family):
    model = families.module(family).load(families.FOLDER / family)
    given = families.expected(family)
    logits = model(jnp.asarray(given["tokens"]))
    np.testing.assert_allclose(logits, given["logits"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", STACKED)
def test_stacked_layers_compute_the_same(family):
    model = families.module(family).load(families.FOLDER / family, stacked=True)
    given = families.expected(family)
    logits = model(jnp.asarray(given["tokens"]))
    np.testing.assert_allclose(logits, given["logits"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", families.MAKERS)
def test_every_file_comes_back_bit_for_bit(family, tmp_path):
    model = families.module(family).load(families.FOLDER / family)
    folder = families.FOLDER / family
    nnx.weights.save(model, tmp_path, config=folder)
    assert _bytes_of(tmp_path) == {
        name: x.tobytes() for name, x in families.tensors(family).items()
    }


def _bytes_of(folder):
    source = families.open_source(folder)
    return {name: np.array(source.view(name)).tobytes() for name in source.tensors}


@pytest.mark.parametrize("family", STACKED)
def test_a_stack_is_written_layer_by_layer(family, tmp_path):
    model = families.module(family).load(families.FOLDER / family, stacked=True)
    nnx.weights.save(model, tmp_path)
    assert _bytes_of(tmp_path) == {
        name: x.tobytes() for name, x in families.tensors(family).items()
    }


@pytest.mark.parametrize("family", families.MAKERS)
def test_nothing_of_a_right_file_is_suspicious(family):
    report = nnx.weights.plan(families.abstract(family), families.FOLDER / family)
    assert report.fits
    assert not report.suspicious, str(report)


@pytest.mark.parametrize("family", DECODERS)
def test_a_cache_gives_the_logits_of_the_whole(family):
    model = families.module(family).load(families.FOLDER / family)
    given = families.expected(family)
    tokens = jnp.asarray(given["tokens"])
    caches = model.init_caches(1, tokens.shape[1])
    first = model(tokens[:, :PROMPT], caches)
    step = nnx.jit(lambda model, token, caches: model(token, caches))
    rest = [step(model, tokens[:, i : i + 1], caches) for i in range(PROMPT, 200)]
    logits = jnp.concatenate([first, *rest], 1)
    np.testing.assert_allclose(logits, given["logits"], atol=2e-5, rtol=1e-5)
