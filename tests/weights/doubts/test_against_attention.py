"""What a config says of attention and activations, and a file of weights does not."""

import functools
import json

import pytest

import oakum as nnx

EXACT = functools.partial(nnx.gelu, approximate=False)
CONFIG = {
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 4,
    "query_pre_attn_scalar": 16,
    "attn_logit_softcapping": 50.0,
    "sliding_window": 4,
    "max_position_embeddings": 16,
    "hidden_act": "gelu",
}
RIGHT = {"num_kv_heads": 1, "scale": 0.25, "softcap": 50.0, "window": 4}


def _lines(tmp_path, model, config=CONFIG):
    (tmp_path / "config.json").write_text(json.dumps(config))
    nnx.weights.save(model, tmp_path)
    return nnx.weights.plan(model, tmp_path).suspicious


def _attention(heads=2, **changes):
    options = {**RIGHT, **changes}
    return nnx.Dict(a=nnx.MultiHeadAttention(heads, 8, **options, rngs=nnx.Rngs(0)))


def test_what_is_as_the_config_says_is_not_suspicious(tmp_path):
    assert not _lines(tmp_path, _attention())


OTHER = {
    "scale": ({"scale": None}, "scale=0.5, and the config says 0.25"),
    "softcap": ({"softcap": None}, "softcap=0, and the config says 50"),
    "window": ({"window": None}, "window=None, and the config sliding_window=4"),
    "kv_heads": ({"num_kv_heads": 2}, "num_kv_heads=2, and the config says 1"),
    "heads": ({"heads": 1, "scale": 0.25}, "num_heads=1, and the config says 2"),
}


@pytest.mark.parametrize(("changes", "text"), OTHER.values(), ids=OTHER)
def test_attention_that_is_otherwise_is_named(tmp_path, changes, text):
    lines = [str(line) for line in _lines(tmp_path, _attention(**changes))]
    assert f"a: has {text}" in lines


WINDOWS = [
    ({"use_sliding_window": False}, None, 0),
    ({"layer_types": ["full_attention"]}, None, 0),
    ({"layer_types": ["full_attention"]}, 4, 1),
    ({"sliding_window": 16}, None, 0),
    ({"sliding_window": None}, 4, 1),
]


@pytest.mark.parametrize(("changes", "window", "count"), WINDOWS)
def test_a_window_counts_where_the_config_uses_it(tmp_path, changes, window, count):
    model = _attention(window=window)
    assert len(_lines(tmp_path, model, {**CONFIG, **changes})) == count


@pytest.mark.parametrize(("heads", "depth", "count"), [(2, 4, 0), (4, 2, 1), (3, 2, 0)])
def test_heads_of_another_size_are_named(tmp_path, heads, depth, count):
    model = nnx.Dict(q=nnx.LinearGeneral(8, (heads, depth), rngs=nnx.Rngs(0)))
    lines = _lines(tmp_path, model)
    assert ["q: gives 4 heads of 2, and the config has 4 for a head"][:count] == list(
        map(str, lines)
    )


class _Net(nnx.Module):
    def __init__(self, *functions):
        self.first, self.last = functions
        self.norm = nnx.Linear(2, 2, rngs=nnx.Rngs(0))


ACTIVATIONS = [
    ((EXACT, nnx.tanh), "gelu", 0),
    ((nnx.gelu, nnx.tanh), "gelu", 1),
    ((EXACT, nnx.silu), "gelu", 0),
    ((nnx.silu, nnx.relu), "gelu_new", 2),
    ((nnx.quick_gelu, nnx.tanh), "quick_gelu", 0),
    ((nnx.silu, nnx.tanh), "their own", 0),
]


@pytest.mark.parametrize(("functions", "name", "count"), ACTIVATIONS)
def test_an_activation_that_is_another_is_named(tmp_path, functions, name, count):
    lines = _lines(tmp_path, _Net(*functions), {"hidden_act": name})
    assert len(lines) == count
    assert all(f"this one says {name!r}" in line.text for line in lines)
