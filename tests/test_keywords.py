"""Constructors explain the keywords of PyTorch, Keras, Linen, equinox and Haiku."""

import re

import jax
import pytest

import oakum as nnx
from oakum._keywords import FOREIGN
from oakum.errors import ArgumentError

RNGS = nnx.Rngs(0)
LAYERS = {
    "Linear": (2, 3), "Conv": (2, 3, 3), "ConvTranspose": (2, 3, 3), "Embed": (5, 3),
    "Dropout": (0.5,), "BatchNorm": (2,), "GroupNorm": (2, 1), "LayerNorm": (2,),
    "MultiHeadAttention": (2, 4), "LSTMCell": (2, 3), "SimpleCell": (2, 3),
    "OptimizedLSTMCell": (2, 3),
    "RNN": (nnx.SimpleCell(2, 3, rngs=RNGS),),
}  # fmt: skip
CASES = {
    "torch-bias": ("Linear", (2, 3), {"bias": False}, "use_bias=False"),
    "torch-channels": ("Conv", (), {"in_channels": 3}, "in_features=3"),
    "torch-stride": ("Conv", (2, 3, 3), {"stride": 2}, "strides=2"),
    "torch-groups": ("Conv", (2, 4, 3), {"groups": 2}, "feature_group_count=2"),
    "torch-groups-of-a-norm": ("GroupNorm", (4,), {"groups": 2}, "num_groups=2"),
    "torch-embedding": ("Embed", (5,), {"embedding_dim": 3}, "features=3"),
    "torch-p": ("Dropout", (), {"p": 0.5}, "rate=0.5"),
    "torch-eps": ("LayerNorm", (2,), {"eps": 1e-5}, "epsilon=1e-05"),
    "torch-affine": ("BatchNorm", (2,), {"affine": False}, "use_scale=False, use_bias"),
    "torch-attention": ("MultiHeadAttention", (2,), {"embed_dim": 4}, "in_features=4"),
    "torch-cell": ("LSTMCell", (2,), {"hidden_size": 4}, "hidden_features=4"),
    "keras-units": ("Linear", (), {"units": 3}, "out_features=3, with the size"),
    "keras-units-of-a-cell": ("LSTMCell", (), {"units": 3}, "hidden_features=3"),
    "keras-filters": ("Conv", (), {"filters": 3}, "out_features=3"),
    "keras-activation": (
        "Linear",
        (2, 3),
        {"activation": "relu"},
        "nnx.relu(layer(x))",
    ),
    "linen-features": ("Linear", (), {"features": 3}, "out_features=3"),
    "linen-name": (
        "Linear",
        (2, 3),
        {"name": "head"},
        "attribute that holds the layer",
    ),
    "equinox-key": ("Linear", (2, 3), {"key": jax.random.key(0)}, "rngs=nnx.Rngs(key)"),
    "equinox-shape": ("LayerNorm", (), {"shape": 8}, "num_features=8"),
    "haiku-size": ("Linear", (), {"output_size": 3}, "out_features=3"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_keyword_of_another_library_says_what_it_is_here(case):
    name, args, options, answer = CASES[case]
    (keyword,) = options
    with pytest.raises(TypeError, match=f"{name}(.|\n)*{keyword}=") as caught:
        getattr(nnx, name)(*args, **options)
    assert re.search(f"Instead:.*{re.escape(answer)}", str(caught.value))


def test_several_keywords_are_explained_at_once():
    with pytest.raises(ArgumentError, match=r"in_features=2(.|\n)*out_features=3"):
        nnx.Linear(in_channels=2, out_channels=3, rngs=RNGS)


@pytest.mark.parametrize("keyword", sorted(FOREIGN))
def test_each_keyword_is_explained_by_some_layer(keyword):
    explained = []
    for name, args in LAYERS.items():
        try:
            getattr(nnx, name)(*args, rngs=RNGS, **{keyword: 1})
        except ArgumentError as error:
            explained.append(str(error))
        except (TypeError, ValueError):
            pass
    assert explained


def test_a_class_of_the_users_takes_what_it_likes():
    class Block(nnx.Module):
        def __init__(self, bias, **options):
            self.bias, self.options = bias, options

    assert Block(bias=2, units=3).options == {"units": 3}


def test_a_keyword_that_nobody_has_is_pythons_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        nnx.Linear(2, 3, colour=1, rngs=RNGS)


def test_a_layer_of_the_users_that_adds_nothing_is_explained_too():
    class Head(nnx.Linear):
        pass

    with pytest.raises(
        ArgumentError, match=r"Head takes no keyword(.|\n)*use_bias=True"
    ):
        Head(2, 3, bias=True, rngs=RNGS)
