"""Same numbers as PyTorch, with its weights: outputs and gradients of the input.

A layer here has the channels last, where PyTorch has them second; its kernels are the
transposes of PyTorch's.
"""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx

torch = pytest.importorskip("torch")

RTOL = 1e-5


def to_numpy(tensor):
    return tensor.detach().numpy().copy()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def fill(module):
    """Gives each parameter values that all differ, biases and scales included."""
    with torch.no_grad():
        for seed, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.from_numpy(noise(*parameter.shape, seed=seed) / 3))
    return module


def set_all(layer, **values):
    for name, value in values.items():
        variable = layer
        for part in name.split("__"):
            variable = getattr(variable, part)
        value = jnp.asarray(to_numpy(value))
        variable.value = value.reshape(variable.value.shape)
    return layer


def channels_first(x):
    return x.moveaxis(-1, 1)


def channels_last(x):
    return x.moveaxis(1, -1)


def same(x):
    return x


def check(ours, theirs, x, before=same, after=same):
    """Compares outputs, and gradients of a random sum of them."""
    given = torch.from_numpy(x).requires_grad_()
    expected = after(theirs(before(given)))
    weights = noise(*expected.shape, seed=9)
    (expected * torch.from_numpy(weights)).sum().backward()
    out, pull = jax.vjp(ours, jnp.asarray(x))
    assert_close(out, to_numpy(expected))
    assert_close(pull(jnp.asarray(weights))[0], to_numpy(given.grad))


def assert_close(got, expected):
    bound = RTOL * np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


@pytest.fixture(scope="module")
def rngs():
    return nnx.Rngs(0)


@pytest.fixture(autouse=True)
def one_thread():
    """Keeps PyTorch's threads from waiting for those of JAX."""
    with contextlib.suppress(RuntimeError):
        torch.set_num_threads(1)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_linear(bias, rngs):
    theirs = fill(torch.nn.Linear(5, 7, bias=bias))
    ours = nnx.Linear(5, 7, use_bias=bias, rngs=rngs)
    set_all(ours, kernel=theirs.weight.T, **({"bias": theirs.bias} if bias else {}))
    check(ours, theirs, noise(3, 4, 5))


CONVS = {
    "1d": (1, {}),
    "1d-padding": (1, {"padding": 2}),
    "1d-stride": (1, {"stride": 2, "padding": 1}),
    "2d": (2, {}),
    "2d-all": (2, {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
    "2d-same": (2, {"padding": "same"}),
    "2d-depthwise": (2, {"groups": 4}),
    "2d-uneven": (2, {"stride": (1, 2), "padding": (0, 1), "dilation": (2, 1)}),
}


def each_axis(value, ndim):
    return (value,) * ndim if isinstance(value, int) else value


@pytest.mark.parametrize(("ndim", "options"), CONVS.values(), ids=CONVS)
def test_conv(ndim, options, rngs):
    kind = getattr(torch.nn, f"Conv{ndim}d")
    theirs = fill(kind(4, 8, 3, **options))
    padding = options.get("padding", 0)
    if padding != "same":
        padding = [(n, n) for n in each_axis(padding, ndim)]
    ours = nnx.Conv(
        4,
        8,
        (3,) * ndim,
        strides=options.get("stride", 1),
        padding="SAME" if padding == "same" else padding,
        kernel_dilation=options.get("dilation", 1),
        feature_group_count=options.get("groups", 1),
        rngs=rngs,
    )
    # (out, in, *kernel) to (*kernel, in, out)
    set_all(ours, kernel=theirs.weight.permute(*range(2, ndim + 2), 1, 0))
    set_all(ours, bias=theirs.bias)
    check(ours, theirs, noise(2, *(9, 8)[:ndim], 4), channels_first, channels_last)


@pytest.mark.parametrize(("ndim", "stride"), [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_conv_transpose(ndim, stride, rngs):
    theirs = fill(getattr(torch.nn, f"ConvTranspose{ndim}d")(3, 4, 3, stride))
    ours = nnx.ConvTranspose(
        3, 4, (3,) * ndim, (stride,) * ndim, padding="VALID", rngs=rngs
    )
    # (in, out, *kernel) to (*kernel, in, out). PyTorch's is the gradient of a
    # convolution, which turns the kernel round; `nnx.ConvTranspose` does not.
    weight = theirs.weight.flip(*range(2, ndim + 2))
    set_all(ours, kernel=weight.permute(*range(2, ndim + 2), 0, 1), bias=theirs.bias)
    check(ours, theirs, noise(2, *(5, 4)[:ndim], 3), channels_first, channels_last)


def test_embed(rngs):
    theirs = fill(torch.nn.Embedding(7, 5))
    ours = set_all(nnx.Embed(7, 5, rngs=rngs), embedding=theirs.weight)
    codes = np.array([[0, 6, 3], [2, 2, 1]], np.int32)
    out = theirs(torch.from_numpy(codes).long())
    np.testing.assert_array_equal(ours(codes), to_numpy(out))
    x = noise(2, 3, 5)
    scores = torch.from_numpy(x) @ theirs.weight.T
    assert_close(ours.attend(jnp.asarray(x)), to_numpy(scores))


@pytest.mark.parametrize("epsilon", [1e-5, 1e-2])
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_norm_of_features(name, epsilon, rngs):
    theirs = fill(getattr(torch.nn, name)(6, eps=epsilon))
    ours = getattr(nnx, name)(6, epsilon=epsilon, rngs=rngs)
    set_all(ours, scale=theirs.weight)
    if name == "LayerNorm":
        set_all(ours, bias=theirs.bias)
    check(ours, theirs, 2 + noise(3, 4, 6))


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups, rngs):
    theirs = fill(torch.nn.GroupNorm(groups, 6))
    ours = nnx.GroupNorm(6, groups, epsilon=1e-5, rngs=rngs)
    set_all(ours, scale=theirs.weight, bias=theirs.bias)
    check(ours, theirs, 2 + noise(3, 4, 5, 6), channels_first, channels_last)


def test_instance_norm(rngs):
    theirs = fill(torch.nn.InstanceNorm2d(6, affine=True))
    ours = nnx.InstanceNorm(6, epsilon=1e-5, rngs=rngs)
    set_all(ours, scale=theirs.weight, bias=theirs.bias)
    check(ours, theirs, 2 + noise(3, 4, 5, 6), channels_first, channels_last)


def test_batch_norm_in_training_and_evaluation(rngs):
    theirs = fill(torch.nn.BatchNorm2d(6, momentum=0.1))
    ours = nnx.BatchNorm(6, momentum=0.9, epsilon=1e-5, rngs=rngs)
    set_all(ours, scale=theirs.weight, bias=theirs.bias)
    x = 2 + noise(3, 4, 5, 6)
    for _ in range(2):
        ours(jnp.asarray(x))
        theirs(channels_first(torch.from_numpy(x)))
    assert_close(ours.mean.value, to_numpy(theirs.running_mean))
    # PyTorch keeps the variance with n - 1 below, of 60 values of a channel: 60 / 59,
    # but for what is left of the first 1.
    var = to_numpy(theirs.running_var) - 0.81
    assert_close(ours.var.value, var * 59 / 60 + 0.81)
    fixed = nnx.clone(ours)
    fixed.eval()
    set_all(fixed, var=theirs.running_var)
    check(fixed, theirs.eval(), x, channels_first, channels_last)


def test_batch_norm_gradients_pass_through_the_statistics(rngs):
    theirs = fill(torch.nn.BatchNorm1d(6))
    ours = nnx.BatchNorm(6, epsilon=1e-5, rngs=rngs)
    set_all(ours, scale=theirs.weight, bias=theirs.bias)
    graphdef, state = nnx.split(ours)
    check(lambda x: nnx.merge(graphdef, state)(x), theirs, 2 + noise(8, 6))


@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_multi_head_attention(causal, rngs):
    theirs = fill(torch.nn.MultiheadAttention(8, 2, batch_first=True))
    ours = nnx.MultiHeadAttention(2, 8, rngs=rngs)
    parts = zip(
        theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True
    )
    for name, (weight, bias) in zip(("query", "key", "value"), parts, strict=True):
        set_all(getattr(ours, name), kernel=weight.T, bias=bias)
    set_all(ours.out, kernel=theirs.out_proj.weight.T, bias=theirs.out_proj.bias)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    check(
        lambda x: ours(x, is_causal=causal),
        lambda x: theirs(x, x, x, attn_mask=hidden, need_weights=False)[0],
        noise(3, 5, 8),
    )


@pytest.mark.parametrize("kind", ["LSTMCell", "OptimizedLSTMCell"])
def test_lstm(kind, rngs):
    theirs = fill(torch.nn.LSTM(3, 4, batch_first=True))
    cell = getattr(nnx, kind)(3, 4, rngs=rngs)
    # Two biases are added in PyTorch, and the order of the gates is i, f, g, o.
    bias = theirs.bias_ih_l0 + theirs.bias_hh_l0
    if kind == "OptimizedLSTMCell":
        set_all(cell, dense_i__kernel=theirs.weight_ih_l0.T)
        set_all(cell, dense_h__kernel=theirs.weight_hh_l0.T, dense_h__bias=bias)
    else:
        gates = (theirs.weight_ih_l0, theirs.weight_hh_l0, bias)
        for name, i, h, b in zip("ifgo", *(x.chunk(4) for x in gates), strict=True):
            set_all(getattr(cell, "if_" if name == "f" else f"i{name}"), kernel=i.T)
            set_all(getattr(cell, f"h{name}"), kernel=h.T, bias=b)
    check(nnx.RNN(cell), lambda x: theirs(x)[0], noise(2, 6, 3))


def test_gru(rngs):
    theirs = fill(torch.nn.GRU(3, 4, batch_first=True))
    cell = nnx.GRUCell(3, 4, rngs=rngs)  # the order is r, z, n in both
    set_all(cell, dense_i__kernel=theirs.weight_ih_l0.T)
    set_all(cell, dense_i__bias=theirs.bias_ih_l0)
    set_all(cell, dense_h__kernel=theirs.weight_hh_l0.T)
    set_all(cell, dense_h__bias=theirs.bias_hh_l0)
    check(nnx.RNN(cell), lambda x: theirs(x)[0], noise(2, 6, 3))


def test_bidirectional_lstm(rngs):
    theirs = fill(torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True))
    rnns = []
    for end in ("l0", "l0_reverse"):
        cell = nnx.OptimizedLSTMCell(3, 4, rngs=rngs)
        set_all(cell, dense_i__kernel=getattr(theirs, f"weight_ih_{end}").T)
        set_all(cell, dense_h__kernel=getattr(theirs, f"weight_hh_{end}").T)
        biases = (getattr(theirs, f"bias_{part}_{end}") for part in ("ih", "hh"))
        set_all(cell, dense_h__bias=sum(biases))
        rnns.append(nnx.RNN(cell))
    check(nnx.Bidirectional(*rnns), lambda x: theirs(x)[0], noise(2, 6, 3))
