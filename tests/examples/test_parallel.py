"""The parallel transformer computes on each mesh what it computes on one device."""

import jax
import numpy as np
import pytest

import oakum as nnx
from oakum.cli._recipes import find_recipes, import_recipe


@pytest.fixture(scope="module")
def recipe():
    return import_recipe(find_recipes()["parallel_transformer"].path)


def train(recipe, mesh, steps=4):
    config = recipe.Config(width=32, heads=2, layers=2)
    codes = np.random.default_rng(0).integers(32, 120, (8, 17)).astype(np.int32)
    model, optimizer = nnx.init_sharded(lambda: recipe.make(config), mesh, recipe.RULES)
    codes = jax.device_put(codes, jax.NamedSharding(mesh, recipe.ROWS))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        losses = [
            float(recipe.train_step(model, optimizer, codes)) for _ in range(steps)
        ]
    return losses, model


@pytest.fixture(scope="module")
def alone(recipe):
    names, types = ("data", "fsdp", "tensor"), (jax.sharding.AxisType.Auto,) * 3
    one = jax.devices()[:1]
    mesh = jax.make_mesh((1, 1, 1), names, axis_types=types, devices=one)
    return train(recipe, mesh)[0]


@pytest.mark.parametrize(("fsdp", "tensor"), [(1, 1), (2, 2), (4, 1)], ids=str)
def test_the_losses_are_those_of_one_device(fsdp, tensor, recipe, alone):
    losses, model = train(recipe, recipe.make_mesh(fsdp, tensor))
    np.testing.assert_allclose(losses, alone, rtol=1e-5)
    assert losses[-1] < losses[0]
    kernel = model.blocks[0].attention.query.kernel.value
    shape = kernel.sharding.shard_shape(kernel.shape)
    assert shape == (32 // fsdp, 2 // tensor, 16)
