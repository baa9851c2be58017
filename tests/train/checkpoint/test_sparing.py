"""How much orbax may be writing or reading at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import oakum as nnx
from oakum.train.checkpoint import _sparing as sparing

pytest.importorskip("orbax.checkpoint")


def make_array(shape, *names):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    place = NamedSharding(mesh, PartitionSpec(*names))
    return jax.device_put(jnp.ones(shape, jnp.float32), place)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ([], 100),
        ([make_array((40, 40), "data")] * 8, 3200),  # a quarter of a device's share
        ([make_array((400, 4), "data")], 1601),  # more than the largest part
        ([make_array((40, 40)), np.ones((900, 900))], 6401),
    ],
    ids=["nothing", "many", "one", "whole"],
)
def test_it_is_a_part_of_what_one_device_holds(arrays, expected, monkeypatch):
    monkeypatch.setattr(sparing, "_FEWEST", 100)
    assert round(sparing.gigabytes_to_write(arrays) * 1e9) == expected


def test_arrays_far_above_the_least_are_saved_and_loaded_elsewhere(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sparing, "_FEWEST", 100)
    noise = np.random.default_rng(0).normal(size=(40, 36)).astype(np.float32)
    kinds = [("data",), (None, "data"), ()]
    model = nnx.List([nnx.Param(make_array(noise.shape, *kind)) for kind in kinds])
    for param in model:
        param[...] = noise
    keys = nnx.Variable(jax.random.split(jax.random.key(0), 50))
    with nnx.train.Checkpoints(tmp_path / "steps") as checkpoints:
        checkpoints.save(1, model=model, keys=keys, host=nnx.Variable(noise))
        other = nnx.List([nnx.Param(make_array(noise.shape, *k)) for k in kinds[::-1]])
        again = nnx.Variable(jax.random.split(jax.random.key(1), 50))
        host = nnx.Variable(0 * noise)
        checkpoints.load(model=other, keys=again, host=host)
    for param in (*other, host):
        np.testing.assert_array_equal(param, noise)
    assert (again.value == keys.value).all()
