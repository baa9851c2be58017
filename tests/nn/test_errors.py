"""Each wrong argument or input raises, names what it is about, and says what to do."""

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError, MissingRngError, ShapeError


class Net(nnx.Module):
    def __init__(self, layer):
        self.layers = [layer]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def ones(*shape):
    return jnp.ones(shape)


@pytest.mark.parametrize("kind", [nnx.Linear, nnx.LayerNorm], ids=["linear", "norm"])
def test_wrong_width_is_found_under_jit_and_leaves_the_model(kind):
    model = Net(nnx.Linear(3, 4, rngs=nnx.Rngs(0)) if kind is nnx.Linear else kind(3))
    before = jax.tree.leaves(nnx.state(model))
    apply = nnx.jit(lambda model, x: model(x))
    with pytest.raises(ShapeError, match=r"layers\[0\]"):
        apply(model, ones(2, 5))
    after = jax.tree.leaves(nnx.state(model))
    assert all(a is b for a, b in zip(before, after, strict=True))


def test_layer_norm_names_its_feature_axes():
    layer = nnx.LayerNorm(12, feature_axes=(1, 2))
    with pytest.raises(ShapeError, match=r"expects 12 at axis \(1, 2\).* has 20 "):
        layer(ones(2, 4, 5))


def test_attend_names_the_width():
    embed = nnx.Embed(5, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"embed(.|\n)*features=2"):
        embed.attend(ones(2, 2))
    with pytest.raises(ShapeError, match="features=3"):
        embed.attend(jnp.float32(1))


def test_embed_takes_integers_alone():
    embed = nnx.Embed(5, 3, rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentValueError, match=r"float32(.|\n)*astype\(jnp.int32\)"):
        embed(ones(2))


def test_conv_needs_its_spatial_axes():
    conv = nnx.Conv(3, 4, (2, 2), rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"expects 2 spatial axes.*\(5, 3\)"):
        conv(ones(5, 3))


BAD_CONV = {
    "word": ({"padding": "FULL"}, "'FULL' is no padding.*\n.*SAME, VALID"),
    "pairs": ({"padding": [(1, 1)]}, "for 2 spatial axes"),
    "triple": ({"padding": [(1, 1, 1), 2]}, "for 2 spatial axes"),
    "float": ({"padding": 1.5}, "for 2 spatial axes"),
    "causal": ({"padding": "CAUSAL"}, "one spatial axis, but the kernel has 2"),
    "dilated": ({"padding": "SAME", "input_dilation": 2}, "'SAME' has no meaning"),
    "strides": ({"strides": (1, 2, 3)}, r"strides=\(1, 2, 3\).*\n.*2 ints"),
    "dilation": ({"kernel_dilation": 0.5}, "kernel_dilation=0.5"),
    "spacing": ({"input_dilation": (1,)}, r"input_dilation=\(1,\)"),
    "groups": ({"feature_group_count": 2}, "in_features=3.*\n.*multiple of 2"),
    "out": ({"feature_group_count": 3}, "out_features=4.*\n.*multiple of 3"),
}


@pytest.mark.parametrize(("options", "text"), BAD_CONV.values(), ids=BAD_CONV)
def test_conv_checks_its_arguments(options, text):
    with pytest.raises(ArgumentValueError, match=text):
        nnx.Conv(3, 4, (2, 2), rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("kind", [nnx.Conv, nnx.ConvTranspose])
def test_a_mask_is_checked_when_a_layer_is_built_and_when_it_is_called(kind):
    with pytest.raises(ShapeError, match=r"\(3, 3, 4\)(.|\n)*shape \(2, 3, 4\)"):
        kind(3, 4, 2, mask=ones(3, 3, 4), rngs=nnx.Rngs(0))
    conv = kind(3, 4, 2, rngs=nnx.Rngs(0))
    conv.mask = ones(3, 3, 4)
    with pytest.raises(ShapeError, match="conv"):
        conv(ones(1, 5, 3))


RANDOM = {
    "linear": lambda **given: nnx.Linear(3, 4, **given),
    "conv": lambda **given: nnx.Conv(3, 4, 2, **given),
    "embed": lambda **given: nnx.Embed(3, 4, **given),
    "norm": lambda **given: nnx.LayerNorm(
        3, scale_init=nnx.initializers.normal(), **given
    ),
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_rngs_are_asked_for_where_needed(make):
    for given in ({}, {"rngs": None}):
        with pytest.raises(MissingRngError, match=r"got no rngs\n.*nnx.Rngs\(0\)"):
            make(**given)


def test_rngs_are_not_asked_for_where_nothing_is_random():
    zeros = nnx.initializers.zeros_init()
    layers = [
        nnx.Linear(3, 4, kernel_init=zeros),
        nnx.Conv(3, 4, 2, kernel_init=nnx.initializers.constant(1.0)),
        nnx.Embed(3, 4, embedding_init=zeros),
        nnx.BatchNorm(3),
        nnx.LayerNorm(3),
        nnx.RMSNorm(3),
        nnx.GroupNorm(4, 2),
    ]
    assert len(jax.tree.leaves(nnx.state(layers, nnx.Param))) == 12
    assert nnx.Dropout(0.0)(ones(3)).tolist() == [1.0, 1.0, 1.0]


def test_dropout_checks_its_arguments():
    for rate in (-0.1, 1.5):
        with pytest.raises(ArgumentValueError, match=rf"rate={rate}(.|\n)*from 0"):
            nnx.Dropout(rate)
    with pytest.raises(ArgumentError, match=r"is a int(.|\n)*rngs=nnx.Rngs\(0\)"):
        nnx.Dropout(0.5, rngs=3)
    drop = nnx.Dropout(0.5)
    with pytest.raises(MissingRngError, match=r"rate=0.5(.|\n)*drop(.|\n)*eval\(\)"):
        drop(ones(3))
    with pytest.raises(ArgumentError, match="is a str"):
        drop(ones(3), rngs="dropout")
    drop = nnx.Dropout(0.5, broadcast_dims=(2,), rngs=nnx.Rngs(0))
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)\n.*drop\n.*has them"):
        drop(ones(3))
    drop.deterministic = None
    with pytest.raises(ArgumentValueError, match=r"deterministic is None(.|\n)*train"):
        drop(ones(3))


def test_batch_norm_needs_to_know_its_statistics():
    norm = nnx.BatchNorm(3, use_running_average=None)
    with pytest.raises(ArgumentValueError, match=r"average is None(.|\n)*train\(\)"):
        norm(ones(2, 3))


def test_group_norm_checks_its_groups():
    with pytest.raises(
        ArgumentValueError, match=r"one of num_groups=4 and group_size=2"
    ):
        nnx.GroupNorm(8, 4, 2)
    with pytest.raises(ArgumentValueError, match="num_groups=None and group_size=None"):
        nnx.GroupNorm(8, None)
    with pytest.raises(ArgumentValueError, match=r"num_groups=32.*num_features=8"):
        nnx.GroupNorm(8)
    with pytest.raises(ArgumentValueError, match=r"group_size=3.*\n.*divisor of 8"):
        nnx.GroupNorm(8, None, 3)
    norm = nnx.GroupNorm(4, 2, reduction_axes=(1,))
    with pytest.raises(ArgumentValueError, match=r"norm(.|\n)*axes=\(1, -1\)"):
        norm(ones(2, 5, 4))


def test_sequential_takes_what_can_be_called():
    with pytest.raises(ArgumentError, match=r"Argument 1(.|\n)*nnx.Sequential\("):
        nnx.Sequential(nnx.relu, 3)


@pytest.mark.parametrize("pool", [nnx.avg_pool, nnx.max_pool, nnx.min_pool])
def test_pooling_checks_its_arguments(pool):
    x = ones(1, 4, 4, 2)
    with pytest.raises(ArgumentValueError, match=r"strides=\(1,\)(.|\n)*2 entries"):
        pool(x, (2, 2), strides=(1,))
    for padding in (((0, 0),), ((0,), (1,))):
        with pytest.raises(ArgumentValueError, match=r"padding=(.|\n)*pair"):
            pool(x, (2, 2), padding=padding)
    with pytest.raises(ShapeError, match=r"2 spatial axes(.|\n)*\(4, 4\)"):
        pool(ones(4, 4), (2, 2))
    for window in (2, (), (0, 2)):
        with pytest.raises(ArgumentValueError, match=r"window_shape=(.|\n)*\(2, 2\)"):
            pool(x, window)
    with pytest.raises(ArgumentValueError, match=r"'FULL' is no padding(.|\n)*'SAME'"):
        pool(x, (2, 2), padding="FULL")


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_a_layer_computes_in_floating_point(make):
    layer = make(dtype=jnp.int32, rngs=nnx.Rngs(0))
    if isinstance(layer, nnx.Embed):
        pytest.skip("a lookup computes nothing")
    with pytest.raises(ArgumentValueError, match=r"int32(.|\n)*dtype=jnp.float32"):
        layer(ones(1, 5, 3))
