"""What a config says is what an example model does, or the model refuses it."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.weights import families

TOKENS = np.arange(3, 43)[None] % 96
WINDOWS = {
    "mistral": {"model_type": "mistral", "sliding_window": 5},
    "layers": {"sliding_window": 5, "layer_types": ["sliding_attention"] * 2},
    "used": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0},
}


def _within(window, seq):
    """Which positions look at which, as numbers say it."""
    rows, columns = np.mgrid[:seq, :seq]
    return (rows - columns < window)[None, None]


@pytest.mark.parametrize("changes", WINDOWS.values(), ids=WINDOWS)
def test_a_window_is_a_mask(changes):
    model = families.make("llama", changes)
    plain = families.make("llama")
    expected = plain(TOKENS, mask=_within(5, TOKENS.shape[1]))
    np.testing.assert_allclose(model(TOKENS), expected, atol=1e-6)
    assert [cache.window for cache in model.init_caches(1, 8)] == [5, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window": 5},  # Llama has none, whatever a config says
        {"sliding_window": 5, "use_sliding_window": False},
        {"sliding_window": 5, "layer_types": ["full_attention"] * 2},
    ],
)
def test_a_window_that_is_not_used_is_none(changes):
    model = families.make("llama", changes)
    assert [cache.window for cache in model.init_caches(1, 8)] == [None, None]


def test_windows_of_some_layers_decode_as_the_whole():
    changes = {
        "use_sliding_window": True,
        "sliding_window": 5,
        "max_window_layers": 1,
        "layer_types": None,
    }
    model = families.make("qwen3", changes)
    assert [block.attention.window for block in model.blocks] == [None, 5]
    caches = model.init_caches(1, TOKENS.shape[1])
    parts = [model(TOKENS[:, :20], caches), model(TOKENS[:, 20:], caches)]
    np.testing.assert_allclose(jnp.concatenate(parts, 1), model(TOKENS), atol=2e-5)


def test_a_stack_takes_one_window():
    changes = {"model_type": "mistral", "sliding_window": 5}
    stack = families.make("llama", changes, stacked=True)
    model = families.make("llama", changes)
    nnx.weights.copy(stack, model)
    np.testing.assert_allclose(stack(TOKENS), model(TOKENS), atol=1e-6)
    tokens = nnx.generate(stack, TOKENS, stack.init_caches(1, 50), 10)
    expected = nnx.generate(model, TOKENS, model.init_caches(1, 50), 10)
    np.testing.assert_array_equal(tokens, expected)
    some = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}
    with pytest.raises(ValueError, match=r"windows \[5, None\] are no stack"):
        families.make("llama", some, stacked=True)


def test_older_configs_of_gemma_turn_alike():
    config = dict(families.config("gemma3"))
    own = config.pop("rope_parameters")
    config.pop("layer_types")
    config |= {
        "rope_local_base_freq": own["sliding_attention"]["rope_theta"],
        "rope_theta": own["full_attention"]["rope_theta"],
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "sliding_window_pattern": 3,
    }
    make = families.module("gemma3").Gemma3
    model = make(config, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(model(TOKENS), families.make("gemma3")(TOKENS))


REFUSED = {
    "bert": [
        {"is_decoder": True},
        {"tie_word_embeddings": False},
        {"position_embedding_type": "relative_key"},
    ],
    "gpt2": [{"add_cross_attention": True}],
    "gemma3": [{"use_bidirectional_attention": True}],
    "qwen3_moe": [{"decoder_sparse_step": 2}, {"mlp_only_layers": [0]}],
    "llama": [
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}
    ],
}
CASES = [(family, changes) for family, some in REFUSED.items() for changes in some]


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_what_a_model_does_not_do_is_refused(family, changes):
    (name,) = changes.get("rope_parameters", changes).keys() - {"rope_type"}
    with pytest.raises(ValueError, match=f"config has {name}=.*computes {name}="):
        families.make(family, changes)


def test_layers_and_activations_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="layers of the kind 'chunked_attention'"):
        families.make("qwen3", {"layer_types": ["chunked_attention"] * 2})
    with pytest.raises(ValueError, match=r"'laplace' is none of \['gelu'"):
        families.make("llama", {"hidden_act": "laplace"})


@pytest.mark.parametrize("family", families.MAKERS)
def test_a_config_of_another_family_is_refused(family, tmp_path):
    # Its names and shapes are those of Llama, and it multiplies by other numbers.
    config = {**families.config(family), "model_type": "granite"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="model_type is 'granite', none of"):
        families.module(family).load(tmp_path)
