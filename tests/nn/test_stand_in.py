"""The formula of a layer, applied to any object that has the attributes of flax's."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ShapeError

RGB = jnp.linspace(-1.0, 1.0, 48).reshape(1, 4, 4, 3)
ROWS = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)
SEQUENCE = jnp.linspace(-1.0, 1.0, 24).reshape(2, 3, 4)
ZEROS = jnp.zeros((2, 3))

# What the layers here have, and those of flax.nnx lack.
OURS = {
    "BatchNorm": {"unbiased_variance", "count"},
    "Conv": {"padding_mode"},
    "ConvTranspose": {"feature_group_count"},
    "Embed": {"padding_idx"},
    "GroupNorm": {"num_features"},
    "LayerNorm": {"offset"},
    "MultiHeadAttention": {"rope", "scale", "softcap", "window", "in_v_features"},
    "OptimizedLSTMCell": {"projection", "projection_features"},
    "RMSNorm": {"offset"},
}

LAYERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "Linear": (lambda **rngs: nnx.Linear(4, 3, **rngs), (ROWS,)),
    "LinearGeneral": (lambda **rngs: nnx.LinearGeneral(4, (2, 3), **rngs), (ROWS,)),
    "Embed": (lambda **rngs: nnx.Embed(5, 3, **rngs), (jnp.arange(4),)),
    "Conv": (lambda **rngs: nnx.Conv(3, 2, (2, 2), **rngs), (RGB,)),
    "ConvTranspose": (lambda **rngs: nnx.ConvTranspose(3, 2, (2, 2), **rngs), (RGB,)),
    "LayerNorm": (lambda **rngs: nnx.LayerNorm(4, **rngs), (ROWS,)),
    "RMSNorm": (lambda **rngs: nnx.RMSNorm(4, **rngs), (ROWS,)),
    "InstanceNorm": (lambda **rngs: nnx.InstanceNorm(3, **rngs), (RGB,)),
    "GroupNorm": (lambda **rngs: nnx.GroupNorm(4, 2, **rngs), (ROWS,)),
    "BatchNorm": (lambda **rngs: nnx.BatchNorm(4, **rngs), (ROWS,)),
    "PReLU": (lambda rngs: nnx.PReLU(), (ROWS,)),
    "LoRA": (lambda **rngs: nnx.LoRA(4, 2, 3, **rngs), (ROWS,)),
    "Dropout": (lambda **rngs: nnx.Dropout(0.5, **rngs), (ROWS,)),
    "MultiHeadAttention": (
        lambda **rngs: nnx.MultiHeadAttention(2, 4, decode=False, **rngs),
        (SEQUENCE,),
    ),
    "SimpleCell": (lambda **rngs: nnx.SimpleCell(4, 3, **rngs), (ZEROS, ROWS)),
    "GRUCell": (lambda **rngs: nnx.GRUCell(4, 3, **rngs), (ZEROS, ROWS)),
    "LSTMCell": (lambda **rngs: nnx.LSTMCell(4, 3, **rngs), ((ZEROS, ZEROS), ROWS)),
    "OptimizedLSTMCell": (
        lambda **rngs: nnx.OptimizedLSTMCell(4, 3, **rngs),
        ((ZEROS, ZEROS), ROWS),
    ),
    "RNN": (lambda **rngs: nnx.RNN(nnx.SimpleCell(4, 3, **rngs)), (SEQUENCE,)),
}


def stand_in(layer: Any) -> Any:
    """An object of another class, with the attributes that flax's layer has."""
    ours = OURS.get(type(layer).__name__, set())
    held = {key: value for key, value in vars(layer).items() if key not in ours}
    return types.SimpleNamespace(**held)


@pytest.mark.parametrize("name", LAYERS)
def test_an_object_with_the_attributes_of_a_layer_stands_in_for_it(name):
    make, inputs = LAYERS[name]
    expected = make(rngs=nnx.Rngs(0))(*inputs)
    layer = make(rngs=nnx.Rngs(0))
    result = type(layer).__call__(stand_in(layer), *inputs)
    same = jax.tree.map(jnp.array_equal, result, expected)
    assert all(jax.tree.leaves(same))


def test_a_statistic_of_the_object_in_the_place_of_a_layer_is_written():
    layer = nnx.BatchNorm(4, momentum=0.5)
    nnx.BatchNorm.__call__(stand_in(layer), ROWS)
    assert jnp.array_equal(layer.mean.value, ROWS.mean(0) / 2)


def test_an_error_names_the_kind_of_the_object_in_the_place_of_a_layer():
    other = stand_in(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))
    with pytest.raises(ShapeError, match=r"(?s)SimpleNamespace expects 4 .* pass"):
        nnx.Linear.__call__(other, jnp.ones((2, 5)))
