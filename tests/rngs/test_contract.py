"""The randomness contract: one stream of keys, however a stack of layers is run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import oakum as nnx

N, CALLS, WIDTH = 3, 2, 64
X = jnp.ones((8, WIDTH))


class Layer(nnx.Module):
    """Passes its input on, and keeps the dropout mask of its last call."""

    def __init__(self, *, rngs):
        self.w = nnx.Param(rngs.params.normal((WIDTH,)))
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.mask = nnx.Intermediate(jnp.zeros(X.shape))

    def __call__(self, x):
        self.mask.value = self.dropout(jnp.ones_like(x))
        return x


def make_streams() -> nnx.Rngs:
    return nnx.Rngs(0, dropout=1)


def as_loop() -> tuple[Any, Any]:
    rngs = make_streams()
    layers = nnx.List([Layer(rngs=rngs) for _ in range(N)])

    def call(layers, x):
        for layer in layers:
            x = layer(x)
        return x

    return layers, call


def as_scan() -> tuple[Any, Any]:
    @nnx.scan(in_axes=(nnx.Carry,), out_axes=(nnx.Carry, 0), length=N)
    def make(rngs):
        return rngs, Layer(rngs=rngs)

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def call(layer, x):
        return layer(x)

    return make(make_streams())[1], call


def as_repeat() -> tuple[Any, Any]:
    stack = nnx.Repeat(Layer, N, rngs=make_streams())
    return stack, lambda stack, x: stack(x)


def as_remat() -> tuple[Any, Any]:
    stack = nnx.Repeat(Layer, N, rngs=make_streams(), remat=True)
    return stack, lambda stack, x: stack(x)


FORMS = {"loop": as_loop, "scan": as_scan, "repeat": as_repeat, "remat": as_remat}


def record(form: str, jit: bool, devices: int = 1) -> tuple[Any, Any]:
    """Initial values by layer; and the masks by call, layer and element."""
    layers, call = FORMS[form]()
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    x = jax.device_put(X, NamedSharding(mesh, PartitionSpec("data")))
    if devices > 1:
        spread = NamedSharding(mesh, PartitionSpec())
        nnx.update(layers, jax.device_put(nnx.state(layers), spread))
    run, masks = nnx.jit(call) if jit else call, []
    for _ in range(CALLS):
        run(layers, x)
        masks.append(gather(layers, "mask"))
    return gather(layers, "w"), np.stack(masks)


def gather(layers: Any, name: str) -> Any:
    if isinstance(layers, nnx.List):
        return np.stack([getattr(layer, name).value for layer in layers])
    inner = layers.layers if isinstance(layers, nnx.Repeat) else layers
    return np.asarray(getattr(inner, name).value)


@pytest.fixture(scope="module")
def expected():
    return record("loop", jit=False)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("form", FORMS)
def test_values_and_masks_are_the_same_however_the_stack_runs(form, jit, expected):
    values, masks = record(form, jit)
    np.testing.assert_array_equal(masks, expected[1])
    np.testing.assert_allclose(values, expected[0], rtol=1e-6)


@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("form", ["loop", "repeat"])
def test_values_and_masks_do_not_depend_on_the_devices(form, devices, expected):
    values, masks = record(form, True, devices)
    np.testing.assert_array_equal(masks, expected[1])
    np.testing.assert_allclose(values, expected[0], rtol=1e-6)


def test_no_two_layers_calls_or_rows_share_a_mask(expected):
    values, masks = expected
    rows = {tuple(row) for row in masks.reshape(-1, WIDTH)}
    assert masks.shape == (CALLS, N, *X.shape)
    assert len(rows) == CALLS * N * len(X)
    assert len({tuple(value) for value in values}) == N


def test_masks_follow_the_seed():
    def masks(seed):
        layer = nnx.Dropout(0.5, rngs=nnx.Rngs(seed))
        return [layer(X).tolist() for _ in range(2)]

    assert masks(0) == masks(0)
    assert all(a != b for a in masks(0) for b in masks(1))
