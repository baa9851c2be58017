"""A step whose state lies on several devices: where it lies afterwards."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import oakum as nnx
from oakum._compat._shardings import FOLLOWS


def make_mesh(kind=AxisType.Auto):
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=(kind,) * 2)


def spread(*names):
    return nnx.with_partitioning(nnx.initializers.lecun_normal(), names)


class Network(nnx.Module):
    def __init__(self, rngs):
        self.up = nnx.Linear(4, 8, kernel_init=spread(None, "model"), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.down = nnx.Linear(8, 2, kernel_init=spread("model", None), rngs=rngs)

    def __call__(self, x):
        return self.down(self.norm(nnx.relu(self.up(x))))


def make_objects(mesh):
    with jax.set_mesh(mesh):
        model = Network(nnx.Rngs(0))
        return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


def make_step():
    traces = []

    @nnx.jit
    def step(model, optimizer, x):
        traces.append(None)
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    return step, traces


def shardings(*objects):
    """Without the Nones at the end of a spec, which JAX drops."""
    found = []
    for _, leaf in nnx.to_flat_state(nnx.state(objects)):
        spec = list(leaf.value.sharding.spec)
        while spec and spec[-1] is None:
            spec.pop()
        found.append((leaf.value.sharding.mesh, tuple(spec)))
    return found


@pytest.fixture
def mesh():
    return make_mesh()


@pytest.fixture
def batch(mesh):
    rows = NamedSharding(mesh, PartitionSpec("data"))
    return jax.device_put(jax.random.normal(jax.random.key(1), (8, 4)), rows)


def test_a_step_leaves_what_it_writes_where_it_was_and_compiles_once(
    mesh, batch, caplog
):
    model, optimizer = make_objects(mesh)
    before = shardings(model, optimizer)
    step, traces = make_step()
    with jax.set_mesh(mesh), jax.log_compiles():
        for _ in range(3):
            step(model, optimizer, batch)
    assert shardings(model, optimizer) == before
    said = [m for m in caplog.messages if m.startswith("Compiling jit(step)")]
    assert (len(traces), len(said)) == (1, 1)


def test_a_step_gives_away_the_arrays_that_it_replaces_on_each_device(mesh, batch):
    model, optimizer = make_objects(mesh)
    step, _ = make_step()
    with jax.set_mesh(mesh):
        step(model, optimizer, batch)
        places = [
            shard.data.unsafe_buffer_pointer()
            for shard in model.up.kernel.value.addressable_shards
        ]
        step(model, optimizer, batch)
    after = [
        shard.data.unsafe_buffer_pointer()
        for shard in model.up.kernel.value.addressable_shards
    ]
    assert places == after


def test_one_step_serves_objects_on_one_device_and_on_several(mesh, batch):
    step, traces = make_step()
    alone = Network(nnx.Rngs(0))
    optimizer = nnx.Optimizer(alone, optax.adam(1e-2), wrt=nnx.Param)
    step(alone, optimizer, jax.device_get(batch))
    model, spread_optimizer = make_objects(mesh)
    before = shardings(model, spread_optimizer)
    step(model, spread_optimizer, batch)
    assert shardings(model, spread_optimizer) == before
    assert alone.up.bias.value.sharding.num_devices == 1
    np.testing.assert_allclose(alone.up.kernel, model.up.kernel, atol=1e-5)
    assert len(traces) == 2


def test_objects_of_one_structure_keep_each_its_own_places(mesh, batch):
    step, traces = make_step()
    model, optimizer = make_objects(mesh)
    other, other_optimizer = make_objects(mesh)
    rows = NamedSharding(mesh, PartitionSpec("data"))
    other.up.bias.value = jax.device_put(other.up.bias.value, rows)
    step(model, optimizer, batch)
    step(other, other_optimizer, batch)
    assert model.up.bias.value.sharding.is_fully_replicated
    assert other.up.bias.value.sharding.is_equivalent_to(rows, 1)
    assert len(traces) == (1 if FOLLOWS else 2)
