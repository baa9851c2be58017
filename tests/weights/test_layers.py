"""Each layer with the weights of PyTorch's computes what that computes, and back.

`scripts/torch_layers.py` wrote the weights, inputs and outputs.
"""

import functools
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.weights.families import open_source

FILE = Path(__file__).parent / "layers.safetensors"
SCALINGS = json.loads(FILE.with_name("scalings.json").read_text())
RNGS = nnx.Rngs(0)
LSTM = {"lstm.*_l{i}": "layers.{i}.cell"}
BOTH = {"lstm.*_l0": "forward_rnn.cell", "lstm.*_l0_reverse": "backward_rnn.cell"}
FIRST = {"lstm.*_l0": "cell"}
STACK = {
    "lstm.*_l{i}": "layers.{i}.forward_rnn.cell",
    "lstm.*_l{i}_reverse": "layers.{i}.backward_rnn.cell",
}
SPREAD = [(1, 2), (0, 1)]


@functools.cache
def _tensors():
    source = open_source(FILE)
    return {name: np.array(source.view(name)) for name in source.tensors}


def _state(name, prefix=""):
    start = f"{name}.state."
    found = [(k, x) for k, x in _tensors().items() if k.startswith(start)]
    return {prefix + k.removeprefix(start): x for k, x in found}


def _conv(*args, **kwargs):
    return nnx.Conv(*args, **kwargs, rngs=RNGS)


def _transpose(*args, **kwargs):
    return nnx.ConvTranspose(*args, **kwargs, rngs=RNGS)


def _exact(layer, *args, **kwargs):
    return layer(*args, epsilon=1e-5, use_fast_variance=False, rngs=RNGS, **kwargs)


def _rnn(cell, *args, **kwargs):
    return nnx.RNN(cell(*args, **kwargs, rngs=RNGS), rngs=RNGS)


def _lstm(cell):
    return lambda: nnx.Sequential(_rnn(cell, 4, 3), _rnn(cell, 3, 3))


def _both(cell=nnx.OptimizedLSTMCell, size=4):
    one, other = (_rnn(cell, size, 3) for _ in range(2))
    return nnx.Bidirectional(one, other, rngs=RNGS)


def _spectral(layer):
    return nnx.SpectralNorm(layer, keep_v=True, update_stats=False, rngs=RNGS)


# Of each: the layer, and what it is called in the file.
CASES = {
    "linear": (lambda: nnx.Linear(4, 3, rngs=RNGS), None),
    "linear_square": (lambda: nnx.Linear(4, 4, use_bias=False, rngs=RNGS), None),
    "conv1d": (lambda: _conv(4, 6, (3,), strides=2, padding=[(1, 1)]), None),
    "conv2d": (
        lambda: _conv(
            4, 6, (3, 2), strides=2, padding=[(1, 1), (0, 0)], feature_group_count=2
        ),
        None,
    ),
    "conv2d_depthwise": (
        lambda: _conv(
            4, 8, (3, 3), padding="VALID", kernel_dilation=2, feature_group_count=4
        ),
        None,
    ),
    "conv3d": (lambda: _conv(2, 3, (2, 3, 1), padding="SAME"), None),
    "conv_transpose1d": (
        lambda: _transpose(4, 3, (3,), strides=(2,), padding="VALID"),
        None,
    ),
    "conv_transpose2d": (
        lambda: _transpose(4, 3, (3, 3), strides=(2, 2), padding=[(1, 2), (1, 2)]),
        None,
    ),
    "conv_transpose3d": (
        lambda: _transpose(2, 3, (2, 3, 1), padding="VALID", transpose_kernel=True),
        None,
    ),
    "conv1d_circular": (
        lambda: _conv(4, 3, 3, padding=3, padding_mode="circular"),
        None,
    ),
    "conv1d_reflect": (
        lambda: _conv(4, 3, 3, 2, padding=4, padding_mode="reflect"),
        None,
    ),
    "conv1d_replicate": (
        lambda: _conv(4, 3, 2, padding=4, padding_mode="replicate"),
        None,
    ),
    "conv1d_same_reflect": (lambda: _conv(4, 3, 4, padding_mode="reflect"), None),
    "conv2d_reflect": (
        lambda: _conv(4, 3, (3, 5), padding=(2, 1), padding_mode="reflect"),
        None,
    ),
    "conv_transpose2d_groups": (
        lambda: _transpose(4, 6, (3, 2), (2, 3), padding=SPREAD, feature_group_count=2),
        None,
    ),
    "conv_transpose2d_groups-swapped": (
        lambda: _transpose(
            4,
            6,
            (3, 2),
            (2, 3),
            padding=SPREAD,
            feature_group_count=2,
            transpose_kernel=True,
        ),
        None,
    ),
    "conv_transpose1d_depthwise": (
        lambda: _transpose(
            4,
            4,
            5,
            2,
            padding="VALID",
            kernel_dilation=2,
            feature_group_count=4,
            use_bias=False,
        ),
        None,
    ),
    "embedding": (lambda: nnx.Embed(7, 4, rngs=RNGS), None),
    "embedding_padding": (lambda: nnx.Embed(7, 4, padding_idx=2, rngs=RNGS), None),
    "layer_norm": (lambda: _exact(nnx.LayerNorm, 8), None),
    "layer_norm_axes": (
        lambda: _exact(
            nnx.LayerNorm, 24, reduction_axes=(-2, -1), feature_axes=(-2, -1)
        ),
        None,
    ),
    "group_norm": (lambda: _exact(nnx.GroupNorm, 4, num_groups=2), None),
    "instance_norm": (lambda: _exact(nnx.InstanceNorm, 4), None),
    "rms_norm": (lambda: nnx.RMSNorm(8, rngs=RNGS), None),
    "batch_norm": (lambda: _exact(nnx.BatchNorm, 4, use_running_average=True), None),
    "large_mean": (lambda: _exact(nnx.LayerNorm, 64), None),
    "prelu": (lambda: nnx.PReLU(), None),
    "prelu_channels": (lambda: nnx.PReLU(num_features=4), None),
    "attention": (lambda: nnx.MultiHeadAttention(2, 8, rngs=RNGS), None),
    "attention_apart": (
        lambda: nnx.MultiHeadAttention(2, 8, in_kv_features=6, rngs=RNGS),
        None,
    ),
    "attention_three": (
        lambda: nnx.MultiHeadAttention(
            2, 8, in_kv_features=6, in_v_features=5, rngs=RNGS
        ),
        None,
    ),
    "lstm": (_lstm(nnx.OptimizedLSTMCell), LSTM),
    "lstm-gates": (_lstm(nnx.LSTMCell), LSTM),
    "lstm_both": (_both, BOTH),
    "lstm_projection": (
        lambda: _rnn(nnx.OptimizedLSTMCell, 4, 5, projection_features=3),
        FIRST,
    ),
    "gru_stack": (
        lambda: nnx.Sequential(_both(nnx.GRUCell, 4), _both(nnx.GRUCell, 6)),
        STACK,
    ),
    "gru": (lambda: _rnn(nnx.GRUCell, 4, 3), FIRST),
    "rnn": (lambda: _rnn(nnx.SimpleCell, 4, 3), FIRST),
    "rnn_relu": (lambda: _rnn(nnx.SimpleCell, 4, 3, activation_fn=nnx.relu), FIRST),
    "weight_norm": (
        lambda: nnx.WeightNorm(nnx.Linear(4, 3, rngs=RNGS), rngs=RNGS),
        None,
    ),
    "weight_norm_conv": (
        lambda: nnx.WeightNorm(_conv(4, 3, 3, padding="VALID"), rngs=RNGS),
        None,
    ),
    "spectral_norm": (lambda: _spectral(nnx.Linear(4, 3, rngs=RNGS)), None),
    "spectral_norm_conv": (lambda: _spectral(_conv(4, 3, 3, padding="VALID")), None),
}


def _loaded(case):
    make, rules = CASES[case]
    model, name = make(), case.split("-")[0]
    state = _state(name, "lstm." if rules else "")
    nnx.weights.load(model, state, rules)
    return model, name, rules, state


def _call(model, name):
    x = jnp.asarray(_tensors()[f"{name}.in"])
    channels = ("group_norm", "instance_norm", "batch_norm")
    last = "conv" in name or "_pool" in name or name in channels
    x = jnp.moveaxis(x, 1, -1) if last else x
    if name == "attention_apart":
        return model(x, x[..., :6])
    if name == "attention_three":
        return model(x, x[..., :6], x[..., :5])
    out = model(x)
    return jnp.moveaxis(out, -1, 1) if last else out


@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_what_pytorch_computes(case):
    model, name, _, _ = _loaded(case)
    expected = _tensors()[f"{name}.out"]
    atol = 4e-4 if name == "large_mean" else 3e-6
    np.testing.assert_allclose(_call(model, name), expected, atol=atol, rtol=1e-5)


# A sum of two biases, and axes that are one axis here, do not come apart again.
ONE_WAY = {
    *("lstm", "lstm-gates", "lstm_both", "lstm_projection", "rnn", "rnn_relu"),
    "layer_norm_axes",
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_written_as_pytorch_writes_it(case, tmp_path):
    model, _, rules, state = _loaded(case)
    nnx.weights.save(model, tmp_path, rules)
    source = open_source(tmp_path)
    names = {k for k in state if not k.endswith("num_batches_tracked")}
    assert set(source.tensors) == names
    if case in ONE_WAY:
        other = CASES[case][0]()
        nnx.weights.load(other, tmp_path, rules)
        name = case.split("-")[0]
        np.testing.assert_array_equal(_call(other, name), _call(model, name))
        return
    for name in names:
        np.testing.assert_array_equal(source.view(name), state[name])


POOLS = {
    "max_pool_ceil": (nnx.max_pool, (3,), 2, 1),
    "max_pool_ceil_whole": (nnx.max_pool, (2,), 4, 1),
    "avg_pool_ceil": (nnx.avg_pool, (3,), 2, 1),
    "avg_pool_ceil_inside": (nnx.avg_pool, (4,), 3, 2, False),
    "adaptive_avg_pool": (nnx.adaptive_avg_pool, 4),
    "adaptive_max_pool": (nnx.adaptive_max_pool, 4),
    "adaptive_avg_pool_more": (nnx.adaptive_avg_pool, 14),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_computes_what_pytorch_computes(name):
    function, *args = POOLS[name]
    options = {"ceil_mode": True} if "ceil" in name else {}
    out = _call(lambda x: function(x, *args, **options), name)
    np.testing.assert_allclose(out, _tensors()[f"{name}.out"], atol=1e-6)


@pytest.mark.parametrize("name", ["batch_norm_train", "batch_norm_average"])
def test_batch_norm_trains_as_in_pytorch(name):
    momentum = 0.9 if name == "batch_norm_train" else None
    model = _exact(nnx.BatchNorm, 3, momentum=momentum, unbiased_variance=True)
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
