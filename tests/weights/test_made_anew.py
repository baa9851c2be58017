"""Checkpoints with other weights and configs, where PyTorch and transformers are."""

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
VARIANTS = {
    "llama": {
        "plain": dict(rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
        "tied": dict(tie_word_embeddings=True, num_key_value_heads=1),
        "biases": dict(attention_bias=True, mlp_bias=True, head_dim=12),
        "relu2": dict(hidden_act="relu2", num_key_value_heads=4),
        "gelu": dict(hidden_act="gelu", num_hidden_layers=1),
    },
    "mistral": {"window": {}, "none": dict(sliding_window=None)},
    "qwen2": {
        "plain": {},
        "windows": dict(use_sliding_window=True, sliding_window=9, max_window_layers=1),
    },
    "qwen3": {
        "windows": dict(use_sliding_window=True, sliding_window=9, max_window_layers=1),
        "untied": dict(tie_word_embeddings=False, attention_bias=True),
        "quick": dict(hidden_act="quick_gelu", sliding_window=9),
    },
    "qwen3_moe": {
        "windows": dict(use_sliding_window=True, sliding_window=9),
        "shares": dict(norm_topk_prob=False, num_experts_per_tok=3),
        "best": dict(num_experts_per_tok=1, num_experts=6, hidden_act="gelu_new"),
    },
    "gemma3": {
        "untied": dict(tie_word_embeddings=False, attention_bias=True),
        "caps": dict(final_logit_softcapping=3.0, hidden_activation="silu"),
        "pattern": dict(layer_types=None, num_hidden_layers=7, sliding_window=5),
    },
    "gpt2": {
        "untied": dict(tie_word_embeddings=False, n_inner=None),
        "plain_scale": dict(scale_attn_weights=False, activation_function="gelu"),
        "layer_scale": dict(scale_attn_by_inverse_layer_idx=True),
    },
    "bert": {"silu": dict(hidden_act="silu", type_vocab_size=3, layer_norm_eps=1e-5)},
    "vit": {
        "without_bias": dict(qkv_bias=False, num_channels=1, num_labels=3),
        "oblong": dict(patch_size=[8, 4], hidden_act="gelu_new"),
    },
}
CASES = [(family, name) for family, some in VARIANTS.items() for name in some]
OURS = {"mistral": "llama", "qwen2": "llama"}


def _check(folder, family, logits=1e-5):
    expected = families.arrays(folder / "expected.safetensors")
    model = families.module(family).load(folder)
    given = families.inputs(family, expected)
    np.testing.assert_allclose(model(*given), expected["logits"], atol=logits)
    if family in families.DECODERS:
        prompt = jnp.asarray(expected["tokens"])[:, :150]
        tokens = nnx.generate(model, prompt, model.init_caches(1, 173), 24)
        np.testing.assert_array_equal(tokens, expected["greedy"])
    return model


@pytest.mark.parametrize("family", families.MAKERS)
def test_a_checkpoint_made_anew_gives_the_same_logits(family, tmp_path):
    tiny_checkpoints.make(MAKERS[family], tmp_path, seed=1)
    _check(tmp_path, family)


@pytest.mark.parametrize(("family", "name"), CASES)
def test_another_config_gives_the_same_logits(family, name, tmp_path):
    make = getattr(tiny_checkpoints, family)
    folder, back = tmp_path / "there", tmp_path / "back"
    tiny_checkpoints.make(make, folder, **VARIANTS[family][name])
    model = _check(folder, OURS.get(family, family), logits=2e-5)
    nnx.weights.save(model, back, config=folder)
    one, two = (families.arrays(x / "model.safetensors") for x in (folder, back))
    assert one.keys() == two.keys()
    assert all(one[key].tobytes() == two[key].tobytes() for key in one)
    assert not nnx.weights.plan(model, folder).suspicious
