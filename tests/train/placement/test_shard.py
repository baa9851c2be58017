"""shard and init_sharded: where each array goes, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import ArgumentError, ArgumentValueError

RULES = {
    "layers.0.kernel": (None, "model"),
    "layers.3.kernel": ("model", None),
    ...: nnx.fsdp("data", min_size=8),
}
KINDS = [AxisType.Auto, AxisType.Explicit]


def make_mesh(kind=AxisType.Auto, shape=(2, 2)):
    devices = jax.devices()[: shape[0] * shape[1]]
    names, types = ("data", "model"), (kind,) * 2
    return jax.make_mesh(shape, names, axis_types=types, devices=devices)


@pytest.fixture
def mesh():
    return make_mesh()


def make_model():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(
        nnx.Linear(4, 8, rngs=rngs),
        nnx.BatchNorm(8, rngs=rngs),
        nnx.Dropout(0.1, rngs=rngs),
        nnx.Linear(8, 2, rngs=rngs),
    )


def make_objects(tx=None):
    model = make_model()
    return (
        model,
        nnx.Optimizer(model, tx or optax.adam(1e-2), wrt=nnx.Param),
        nnx.EMA(model, 0.9, only=nnx.Param),
        nnx.MultiMetric(loss=nnx.metrics.Average()),
    )


def arrays(objects):
    found = nnx.to_flat_state(nnx.state(objects))
    return {path: leaf.value for path, leaf in found}


def host(value):
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return np.asarray(value)


def assert_equal_values(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for path in one:
        np.testing.assert_array_equal(host(one[path]), host(other[path]), str(path))


def spec_of(value):
    return tuple(value.sharding.spec)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", [(2, 2), (1, 1)], ids=str)
def test_values_stay_and_all_go_to_the_mesh(kind, shape):
    objects, mesh = make_objects(), make_mesh(kind, shape)
    nnx.shard(objects, mesh, RULES)
    assert_equal_values(objects, make_objects())
    for value in arrays(objects).values():
        assert value.sharding.mesh == mesh


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_init_sharded_makes_equal_values_in_the_places_of_shard(kind):
    mesh, objects = make_mesh(kind), make_objects()
    nnx.shard(objects, mesh, RULES)
    made = nnx.init_sharded(make_objects, mesh, RULES)
    assert_equal_values(made, objects)
    places = arrays(objects)
    for path, value in arrays(made).items():
        assert value.sharding.is_equivalent_to(places[path].sharding, value.ndim), path


def test_an_optimizer_made_outside_of_init_sharded_is_spread_as_the_model(mesh):
    model = nnx.init_sharded(make_model, mesh, RULES)
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    mu = optimizer.opt_state[0].mu.layers[0].kernel.value
    assert mu.sharding.is_equivalent_to(model.layers[0].kernel.value.sharding, 2)


@pytest.mark.parametrize(
    ("objects", "rules", "path", "spec"),
    [
        (0, RULES, "layers.0.kernel", (None, "model")),
        (0, RULES, "layers.0.bias", ("data",)),
        (0, {"bias": ("model",)}, "layers.0.bias", ("model",)),
        (0, {"layers.*.bias": ("model",)}, "layers.3.bias", ("model",)),
        (0, {"**.bias": P("model")}, "layers.3.bias", ("model",)),
        (0, {nnx.PathContains("bias"): ["model"]}, "layers.3.bias", ("model",)),
        (0, {nnx.BatchStat: ("data",)}, "layers.1.mean", ("data",)),
        (0, {nnx.BatchStat: ("data",)}, "layers.1.scale", ()),
        (0, {"bias": None, ...: nnx.fsdp("data", 1)}, "layers.3.bias", ()),
        (0, nnx.fsdp(("data", "model"), 1), "layers.3.kernel", (("data", "model"),)),
        (0, nnx.fsdp("data", 100), "layers.3.kernel", ()),
        (1, RULES, "opt_state.0.mu.layers.0.kernel", (None, "model")),
        (1, RULES, "step", ()),
        (2, RULES, "params.layers.3.kernel", ("model", None)),
        (3, RULES, "loss.total", ()),
    ],
)
def test_rules_are_filters_ends_of_paths_and_policies(objects, rules, path, spec, mesh):
    made = make_objects()
    nnx.shard(made, mesh, rules)
    found = {".".join(map(str, p)): v for p, v in arrays(made[objects]).items()}
    assert spec_of(found[path]) == spec


@pytest.mark.parametrize(
    ("tx", "part"),
    [
        (optax.adamw(1e-3), ("0", "mu")),
        (optax.MultiSteps(optax.adam(1e-3), 2), ("acc_grads",)),
        (optax.chain(optax.clip(1.0), optax.trace(0.9)), ("1", "trace")),
    ],
    ids=["adamw", "accumulated gradients", "chain"],
)
def test_slots_go_where_their_parameter_goes(tx, part, mesh):
    model, optimizer, *_ = made = make_objects(tx)
    nnx.shard(made, mesh, {"kernel": ("data",), "bias": ("model",)})
    slots = {tuple(map(str, p)): v for p, v in arrays(optimizer).items()}
    for path, value in arrays(nnx.state(model, nnx.Param)).items():
        slot = slots["opt_state", *part, *map(str, path)]
        assert slot.sharding == value.sharding


def test_a_rule_for_slots_alone_splits_them_where_the_parameters_are_whole(mesh):
    made = make_objects()
    is_slot = nnx.All(nnx.OptState, lambda path, value: value.ndim > 0)
    nnx.shard(made, mesh, {is_slot: nnx.fsdp("data", min_size=1)})
    assert spec_of(made[0].layers[0].kernel.value) == ()
    assert spec_of(made[1].opt_state[0].mu.layers[0].kernel.value) == (None, "data")


def test_a_slot_of_another_shape_than_its_parameter_is_on_each_device(mesh):
    model = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
    tx = optax.adafactor(1e-3, min_dim_size_to_factor=2)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    nnx.shard((model, optimizer), mesh, {"kernel": (None, "model")})
    shapes = {
        value.shape: spec_of(value)
        for path, value in arrays(optimizer).items()
        if "kernel" in path and "v_row" in path
    }
    assert shapes == {(4,): ()}


def test_metadata_decides_where_no_rule_does_and_logical_names_go_by_their_rules(mesh):
    init = nnx.with_partitioning(nnx.initializers.ones_init(), ("embed", "hidden"))
    model = nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0))
    with nnx.logical_axis_rules([("embed", None), ("hidden", "model")]):
        nnx.shard(model, mesh)
        assert spec_of(model.kernel.value) == (None, "model")
        nnx.shard(model, mesh, {"bias": ("hidden",)})
    assert spec_of(model.bias.value) == ("model",)


def test_inside_jit_it_says_where_the_results_lie(mesh):
    @nnx.jit
    def make():
        objects = make_objects()
        nnx.shard(objects, mesh, RULES)
        return objects

    objects = make()
    kernel = objects[0].layers[0].kernel.value
    assert kernel.sharding.is_equivalent_to(NamedSharding(mesh, P(None, "model")), 2)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_slots_that_a_compiled_function_makes_lie_as_the_parameters_it_is_given(kind):
    mesh = make_mesh(kind)
    model = make_model()
    nnx.shard(model, mesh, RULES)
    optimizer = nnx.jit(lambda m: nnx.Optimizer(m, optax.adam(1e-2), wrt=nnx.Param))(
        model
    )
    nu = optimizer.opt_state[0].nu.layers[0].kernel.value
    assert nu.sharding.is_equivalent_to(model.layers[0].kernel.value.sharding, 2)


def test_abstract_objects_learn_where_their_arrays_are_to_lie(mesh):
    abstract = nnx.eval_shape(make_objects)
    nnx.shard(abstract, mesh, RULES)
    slot = abstract[1].opt_state[0].mu.layers[0].kernel.value
    assert isinstance(slot, jax.ShapeDtypeStruct)
    assert slot.sharding == NamedSharding(mesh, P(None, "model"))


def test_bare_arrays_and_shared_variables_are_placed_once_and_stay_shared(mesh):
    model = nnx.Dict(a=nnx.Param(jnp.ones(4)), bare=jnp.ones(4), pair=(jnp.ones(4), 1))
    model.b = model.a
    nnx.shard(model, mesh, {nnx.Any(nnx.Param, nnx.PathContains("pair")): ("data",)})
    assert model.a is model.b
    assert spec_of(model.bare) == ()
    assert spec_of(model.a.value) == spec_of(model.pair[0]) == ("data",)


def test_an_array_that_the_program_holds_survives_a_step_on_the_mesh(mesh):
    model = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
    held = model.kernel.value
    nnx.shard(model, mesh)

    @nnx.jit
    def double(model):
        model.kernel[...] = 2 * model.kernel

    double(model)
    np.testing.assert_array_equal(model.kernel, 2 * np.asarray(held))


def test_a_step_that_was_compiled_before_goes_on_after_shard(mesh):
    model = nnx.Linear(4, 8, rngs=nnx.Rngs(0))

    @nnx.jit
    def double(model):
        model.kernel[...] = 2 * model.kernel

    double(model)
    nnx.shard(model, mesh, {"kernel": ("data",)})
    double(model)
    double(model)
    expected = NamedSharding(mesh, P("data"))
    assert model.kernel.value.sharding.is_equivalent_to(expected, 2)


def test_the_layout_is_a_table_of_what_each_device_holds(mesh):
    model = nnx.Linear(4, 8, use_bias=False, rngs=nnx.Rngs(0))
    layout = nnx.layout((model, nnx.Rngs(0)), mesh, {"kernel": (None, "model")})
    lines = [" ".join(line.split()) for line in str(layout).splitlines()]
    assert "0.kernel float32[4, 8] P(None, 'model') 64" in lines
    assert lines[-1] == "in all {'data': 2, 'model': 2} 76"
    assert layout.bytes_per_device() == 76
    assert repr(layout) == "<Layout of 3 arrays: 0.0 MB a device>"
    assert model.kernel.value.sharding.num_devices == 1


def named(*names):
    init = nnx.with_partitioning(nnx.initializers.ones_init(), names)
    return nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("model", "rules", "says"),
    [
        (make_model, {"nothing": ("data",)}, "'nothing' selects nothing"),
        (make_model, {nnx.Cache: None}, "Cache selects nothing"),
        (
            make_model,
            {"layers.0.kernel": ("data",), nnx.PathContains("kernel"): ("model",)},
            r"kernel: 'layers.0.kernel' says .*'data'.*, PathContains.*'model'",
        ),
        (lambda: named("data"), {"kernel": None}, r"kernel: 'kernel' says .*metadata"),
        (make_model, {"layers.0.kernel": ("rows",)}, r"layers.0.kernel: .*'rows'.*has"),
        (make_model, {"kernel": ("data", "data")}, "layers.3.kernel: .*'data' twice"),
        (make_model, {"bias": ("data", None)}, r"layers.0.bias: .* 2 entries for .*8,"),
        (lambda: named("embed", None), None, "kernel: .*'embed', and the mesh has"),
        (
            lambda: nnx.Linear(4, 7, rngs=nnx.Rngs(0)),
            {"kernel": (None, ("data", "model"))},
            r"kernel: axis 1 of shape \(4, 7\) does not divide by 4.*'data' × 'model'",
        ),
    ],
)
def test_what_does_not_go_is_told_before_anything_moves(model, rules, says, mesh):
    model = model()
    with pytest.raises(ArgumentValueError, match=says) as raised:
        nnx.shard(model, mesh, rules)
    assert "mend the rules" in str(raised.value)
    assert all(v.sharding.num_devices == 1 for v in arrays(model).values())


def test_all_that_does_not_go_is_listed(mesh):
    rules = {"nothing": None, "layers.0.kernel": ("rows",), "bias": ("data", "model")}
    with pytest.raises(ArgumentValueError) as raised:
        nnx.shard(make_model(), mesh, rules)
    text = str(raised.value)
    assert all(part in text for part in ["'nothing'", "'rows'", "layers.3.bias"])


def test_slots_of_two_models_that_lie_differently_are_not_told_apart(mesh):
    models = [nnx.Linear(4, 8, rngs=nnx.Rngs(i)) for i in range(2)]
    tx = optax.trace(0.9)
    both = (*models, nnx.Optimizer(models[0], tx, wrt=nnx.Param))
    with pytest.raises(ArgumentValueError, match=r"kept for 0.kernel or 1.kernel.*own"):
        nnx.shard(both, mesh, {"0.kernel": ("data",)})


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([("kernel", None)], "The rules are a list.*nnx.fsdp"),
        ({"kernel": "data"}, r"The rule for 'kernel' gives 'data', a str.*tuple"),
    ],
)
def test_rules_of_another_form_are_refused(rules, says, mesh):
    with pytest.raises(ArgumentError, match=f"(?s){says}"):
        nnx.shard(make_model(), mesh, rules)


def test_a_policy_of_an_axis_that_the_mesh_lacks_is_refused(mesh):
    with pytest.raises(ArgumentValueError, match=r"(?s)'rows'.*has.*nnx.fsdp"):
        nnx.shard(make_model(), mesh, nnx.fsdp("rows"))


def test_init_sharded_makes_nothing_where_a_rule_does_not_go(mesh):
    with pytest.raises(ArgumentValueError, match="'nothing' selects nothing"):
        nnx.init_sharded(make_model, mesh, {"nothing": None})


def test_init_sharded_needs_no_more_memory_than_its_results(mesh):
    from oakum._compat._programs import sparing_options
    from oakum._compiled._jitted import Jitted

    def build():
        rngs = nnx.Rngs(0)
        model = nnx.Sequential(*[nnx.Linear(64, 64, rngs=rngs) for _ in range(12)])
        optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
        nnx.shard((model, optimizer), mesh, nnx.fsdp(("data", "model"), min_size=1))
        return model, optimizer

    with jax.set_mesh(mesh):
        lowered = Jitted(build, compiler_options=sparing_options("cpu")).lower()
    memory = lowered.compile().memory_analysis()
    share = memory.output_size_in_bytes
    assert share + memory.temp_size_in_bytes <= 1.25 * share


def test_a_name_that_does_not_divide_is_an_error_under_jit_too(mesh):
    @nnx.jit
    def make():
        init = nnx.with_partitioning(nnx.initializers.ones_init(), ("model", None))
        return nnx.Linear(3, 8, kernel_init=init, rngs=nnx.Rngs(0))

    with (
        jax.set_mesh(mesh),
        pytest.raises(
            ArgumentValueError, match=r"(?s)\(3, 8\) does not divide by 2.*None"
        ),
    ):
        make()


@pytest.mark.parametrize(
    "tx",
    [
        optax.adafactor(1e-2, min_dim_size_to_factor=2),
        optax.sm3(1e-2),
        optax.adamw(1e-2),
    ],
    ids=["adafactor", "sm3", "adamw"],
)
def test_an_optimizer_of_a_model_on_explicit_axes_keeps_its_places_in_one_trace(tx):
    mesh = make_mesh(AxisType.Explicit)
    model = nnx.init_sharded(
        lambda: nnx.Linear(4, 8, rngs=nnx.Rngs(0)), mesh, {"kernel": (None, "model")}
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    def places():
        found = {path: x for path, x in arrays(optimizer).items() if x.ndim}
        return {path: [*filter(None, spec_of(x))] for path, x in found.items()}

    before = places()
    traces = []

    @nnx.jit
    def step(model, optimizer, x):
        traces.append(None)
        grads = nnx.grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)

    x = jax.device_put(np.ones((4, 4), np.float32), NamedSharding(mesh, P("data")))
    for _ in range(3):
        step(model, optimizer, x)
    assert (places(), len(traces)) == (before, 1)


def test_update_puts_random_keys_where_they_were_too(mesh):
    objects = make_objects()
    nnx.shard(objects, mesh, RULES)
    before = {path: value.sharding for path, value in arrays(objects).items()}
    nnx.update(objects, nnx.state(make_objects()))
    assert {path: value.sharding for path, value in arrays(objects).items()} == before
