"""The example models compute what transformers computes, with the same files."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from tests.weights import families

PROMPT = 150
STACKED = ["llama"]


def _stacked(family):
    return families.module(family).load(families.FOLDER / family, stacked=True)


@pytest.mark.parametrize("family", families.MAKERS)
def test_logits_are_those_of_transformers(family):
    logits = families.loaded(family)(*families.inputs(family))
    expected = families.expected(family)["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("family", STACKED)
def test_stacked_layers_compute_the_same(family):
    model = _stacked(family)
    logits = model(*families.inputs(family))
    expected = families.expected(family)["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("family", families.MAKERS)
def test_every_file_comes_back_bit_for_bit(family, tmp_path):
    folder = families.FOLDER / family
    nnx.weights.save(families.loaded(family), tmp_path, config=folder)
    assert _bytes_of(tmp_path) == _bytes_of(folder / "model.safetensors")


def _bytes_of(folder):
    source = families.open_source(folder)
    return {name: np.array(source.view(name)).tobytes() for name in source.tensors}


@pytest.mark.parametrize("family", STACKED)
def test_a_stack_is_written_layer_by_layer(family, tmp_path):
    model = _stacked(family)
    nnx.weights.save(model, tmp_path)
    folder = families.FOLDER / family
    assert _bytes_of(tmp_path) == _bytes_of(folder / "model.safetensors")


@pytest.mark.parametrize("family", families.MAKERS)
def test_nothing_of_a_right_file_is_suspicious(family):
    file = families.FOLDER / family / "model.safetensors"
    report = nnx.weights.plan(families.abstract(family), file)
    assert report.fits
    assert not report.suspicious, str(report)


@pytest.mark.parametrize("family", families.DECODERS)
def test_a_cache_gives_the_logits_of_the_whole(family):
    model = families.loaded(family)
    tokens = families.inputs(family)[0]
    caches = model.init_caches(1, tokens.shape[1])
    step = nnx.jit(lambda model, token, caches: model(token, caches))
    first = step(model, tokens[:, :PROMPT], caches)
    rest = [step(model, tokens[:, i : i + 1], caches) for i in range(PROMPT, 200)]
    logits = jnp.concatenate([first, *rest], 1)
    expected = families.expected(family)["logits"]
    np.testing.assert_allclose(logits, expected, atol=2e-5)


@pytest.mark.parametrize("family", families.DECODERS)
def test_greedy_tokens_are_those_of_transformers(family):
    model, given = families.loaded(family), families.expected(family)
    prompt = jnp.asarray(given["tokens"])[:, :PROMPT]
    tokens = nnx.generate(model, prompt, model.init_caches(1, PROMPT + 23), 24)
    np.testing.assert_array_equal(tokens, given["greedy"])


@pytest.mark.parametrize("family", STACKED)
def test_stacked_layers_decode_the_same(family):
    model, given = _stacked(family), families.expected(family)
    prompt = jnp.asarray(given["tokens"])[:, :PROMPT]
    tokens = nnx.generate(model, prompt, model.init_caches(1, PROMPT + 23), 24)
    np.testing.assert_array_equal(tokens, given["greedy"])
    caches, mask = model.init_caches(2, 50), given["padded_mask"] != 0
    tokens = nnx.generate(model, given["padded"], caches, 24, mask=mask)
    np.testing.assert_array_equal(tokens, given["padded_greedy"])


@pytest.mark.parametrize("family", families.DECODERS)
def test_greedy_tokens_after_padding_are_those_of_transformers(family):
    model, given = families.loaded(family), families.expected(family)
    caches = model.init_caches(2, 50)
    mask = given["padded_mask"] != 0
    tokens = nnx.generate(model, given["padded"], caches, 24, mask=mask)
    np.testing.assert_array_equal(tokens, given["padded_greedy"])


@pytest.mark.parametrize("family", families.MAKERS)
def test_a_model_is_trained(family):
    model = families.module(family).load(families.FOLDER / family)
    given = families.inputs(family)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, given):
        def loss(model):
            logits = model(*given)
            return -nnx.log_softmax(logits)[..., 0].mean()

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    losses = [float(step(model, optimizer, given)) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
