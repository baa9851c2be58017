"""A step whose state lies on several devices: where it lies afterwards."""

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import oakum as nnx


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
    assert len(traces) == 2


class Square(nnx.Module):
    def __init__(self, rngs):
        self.table = nnx.Embed(16, 8, rngs=rngs)
        self.up = nnx.Linear(8, 8, rngs=rngs)
        self.down = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, tokens):
        return self.down(nnx.relu(self.up(self.table(tokens))))


PLACES = {
    "up.kernel": (None, "model"),
    "down.kernel": ("model", None),
    ...: nnx.fsdp("data", min_size=8),
}


def make_square(tx, mesh=None, rules=PLACES):
    model = Square(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    if mesh is not None:
        nnx.shard((model, optimizer), mesh, rules)
    return model, optimizer


TOKENS = np.arange(32).reshape(4, 8) % 16


@pytest.mark.parametrize(
    "tx",
    [
        optax.adafactor(1e-2, min_dim_size_to_factor=4),
        optax.MultiSteps(optax.lion(1e-2), 2),
        optax.partition(
            {"a": optax.adam(1e-2), "b": optax.set_to_zero()},
            lambda tree: jax.tree.map(lambda x: "a" if x.ndim > 1 else "b", tree),
        ),
        optax.inject_hyperparams(optax.adamw)(1e-2),
    ],
    ids=["adafactor", "accumulated gradients", "partition", "hyperparameters"],
)
def test_what_the_compiler_would_rather_have_elsewhere_stays(tx, mesh):
    model, optimizer = make_square(tx, mesh)
    before = shardings(model, optimizer)
    step, traces = make_step()
    tokens = jax.device_put(TOKENS, NamedSharding(mesh, PartitionSpec("data")))
    losses = [step(model, optimizer, tokens) for _ in range(3)]
    assert shardings(model, optimizer) == before
    assert len(traces) == 1
    alone, step = make_square(tx), make_step()[0]
    expected = [step(*alone, TOKENS) for _ in range(3)]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_an_optimizer_made_in_a_compiled_function_lies_as_the_parameters(mesh):
    model, _ = make_square(optax.sgd(1e-2), mesh)
    make = nnx.jit(lambda m: nnx.Optimizer(m, optax.adam(1e-2), wrt=nnx.Param))
    moments = make(model).opt_state[0].mu
    assert shardings(moments) == shardings(nnx.state(model, nnx.Param))


def put_one_by_one(objects, mesh):
    for path, leaf in nnx.to_flat_state(nnx.state(objects)):
        names = (mesh.axis_names[0],) if "kernel" in path else ()
        place = NamedSharding(mesh, PartitionSpec(*names))
        leaf.value = jax.device_put(np.asarray(leaf.value), place)


def update_one_by_one(objects, mesh):
    state = nnx.clone(nnx.state(objects))
    put_one_by_one(state, mesh)
    nnx.update(objects, state)


MOVES = {
    "shard": lambda o, mesh: nnx.shard(o, mesh, {"kernel": (mesh.axis_names[0],)}),
    "values": put_one_by_one,
    "update": update_one_by_one,
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("first", [None, (2, 2), (1, 2)], ids=str)
@pytest.mark.parametrize("second", [(4, 1), (2, 1)], ids=str)
def test_what_is_moved_between_two_steps_stays_where_it_is_put(move, first, second):
    def mesh_of(shape):
        kinds, devices = (AxisType.Auto,) * 2, jax.devices()[: shape[0] * shape[1]]
        return jax.make_mesh(shape, ("a", "b"), axis_types=kinds, devices=devices)

    mesh = first and mesh_of(first)
    objects = make_square(optax.adam(1e-2), mesh, {"kernel": ("a", "b")})
    step, _ = make_step()
    losses = [step(*objects, TOKENS) for _ in range(2)]
    move(objects, mesh_of(second))
    before = shardings(*objects)
    losses += [step(*objects, TOKENS) for _ in range(2)]
    assert shardings(*objects) == before
    alone, step = make_square(optax.adam(1e-2)), make_step()[0]
    expected = [step(*alone, TOKENS) for _ in range(4)]
    np.testing.assert_allclose(jax.device_get(losses), expected, rtol=1e-4)


def test_counters_and_metrics_made_beside_the_mesh_join_it_in_one_trace(mesh):
    model = Square(nnx.Rngs(0))
    nnx.shard(model, mesh, PLACES)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    metrics, rngs = nnx.metrics.Average("loss"), nnx.Rngs(0)
    held = metrics.total.value
    assert optimizer.step.value.sharding.num_devices == 1
    traces = []

    @nnx.jit
    def step(model, optimizer, metrics, rngs, x):
        traces.append(None)
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        metrics.update(loss=loss + 0 * rngs.normal())

    for _ in range(3):
        step(model, optimizer, metrics, rngs, TOKENS)
        model.table.note = len(traces)  # an edit that the next call has to look at
        del model.table.note
    assert len(traces) == 1
    assert optimizer.step.value == 3
    assert metrics.count.value == 3
    assert held == 0  # what the program held lives on


@pytest.mark.parametrize("first", [("data", None), ()], ids=str)
def test_what_a_step_puts_elsewhere_by_a_constraint_stays_there(first, mesh):
    model = nnx.Linear(8, 8, rngs=nnx.Rngs(0))
    nnx.shard(model, mesh, {"kernel": first})
    nnx.jit(lambda m: nnx.shard(m, mesh, {"kernel": (None, "model")}) and None)(model)
    place = NamedSharding(mesh, PartitionSpec(None, "model"))
    assert model.kernel.value.sharding.is_equivalent_to(place, 2)
