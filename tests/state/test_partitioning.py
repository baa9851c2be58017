"""Sharding by names of axes: without a mesh, under transforms, and each wrong use."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import ArgumentValueError


@pytest.fixture
def mesh():
    types = (AxisType.Auto,) * 2
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=types)


def named(*names, **options):
    return nnx.Param(jnp.arange(8.0).reshape(2, 4), out_sharding=names, **options)


def columns():
    metadata = {"out_sharding": (None, "model")}
    return nnx.Linear(4, 8, kernel_metadata=metadata, rngs=nnx.Rngs(0))


def test_without_a_mesh_the_names_wait():
    param = named("data", "model")
    assert len(param.value.addressable_shards) == 1
    assert nnx.get_partition_spec(param).value == P("data", "model")


def test_eager_sharding_false_leaves_the_array(mesh):
    with jax.set_mesh(mesh):
        left, spread = named("data", eager_sharding=False), named("data")
    assert left.value.sharding.is_fully_replicated
    assert spread.value.sharding == NamedSharding(mesh, P("data"))


@pytest.mark.parametrize("key", ["out_sharding", "sharding_names", "sharding"])
def test_every_name_that_flax_gave_the_names_works(key, mesh):
    with jax.set_mesh(mesh):
        param = nnx.Param(jnp.ones((2, 4)), **{key: ("data", None)})
    assert param.value.sharding.spec == P("data", None)
    assert nnx.get_partition_spec(param).value == P("data", None)
    assert param.sharding_names == ("data", None)


def test_a_named_sharding_brings_its_mesh(mesh):
    param = nnx.Param(jnp.ones((2, 4)), out_sharding=NamedSharding(mesh, P("data")))
    assert param.value.sharding == NamedSharding(mesh, P("data"))


def test_a_model_is_made_spread_under_jit(mesh):
    @nnx.jit
    def make():
        init = nnx.with_partitioning(nnx.initializers.ones_init(), (None, "model"))
        return nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0))

    with jax.set_mesh(mesh):
        kernel = make().kernel
    assert kernel.value.sharding.is_equivalent_to(
        NamedSharding(mesh, P(None, "model")), 2
    )
    assert kernel.out_sharding == (None, "model")


def test_shardings_place_a_state(mesh):
    layer = columns()
    graphdef, state = nnx.split(layer)
    placed = jax.device_put(state, nnx.get_named_sharding(state, mesh))
    kernel = nnx.merge(graphdef, placed).kernel
    assert kernel.value.sharding == NamedSharding(mesh, P(None, "model"))
    np.testing.assert_array_equal(kernel.value, layer.kernel.value)


def test_a_module_gives_a_module_of_specs():
    specs = nnx.get_partition_spec(columns())
    assert (specs.kernel.value, specs.bias.value) == (P(None, "model"), P())


def test_the_spec_of_what_has_no_shape_is_none():
    assert nnx.get_partition_spec(nnx.Variable({"a": 1})).value is None


def test_rules_end_with_their_block_and_stay_in_their_thread():
    param, seen = named("embed", "hidden"), []

    def spec():
        seen.append(nnx.get_partition_spec(param).value)

    with nnx.logical_axis_rules([("embed", "model")]):
        spec()
        with nnx.logical_axis_rules([("hidden", ("data", "model"))]):
            spec()
        spec()
        thread = threading.Thread(target=spec)
        thread.start()
        thread.join()
    with pytest.raises(KeyError), nnx.logical_axis_rules([("embed", "model")]):
        raise KeyError
    spec()
    plain, mapped = P("embed", "hidden"), P("model", "hidden")
    assert seen == [mapped, P("embed", ("data", "model")), mapped, plain, plain]


def test_rules_that_disagree_are_an_error():
    param = named("embed", sharding_rules=[("embed", "data")])
    with (
        nnx.logical_axis_rules([("embed", "model")]),
        pytest.raises(ArgumentValueError, match=r"'embed': 'model'(.|\n)*leave one"),
    ):
        nnx.get_partition_spec(param)


def test_an_axis_that_the_mesh_lacks_is_an_error(mesh):
    match = r"names 'embed'(.|\n)*\('data', 'model'\)(.|\n)*\[\('embed', 'data'\)\]"
    with pytest.raises(ArgumentValueError, match=match):
        nnx.get_named_sharding(named("embed"), mesh)
    with jax.set_mesh(mesh), pytest.raises(ArgumentValueError, match="names 'embed'"):
        named(None, ("data", "embed"))


def test_as_abstract_needs_a_mesh():
    struct = jax.ShapeDtypeStruct((2,), jnp.float32)
    state = nnx.State({"a": {"b": nnx.Param(struct, out_sharding=("data",))}})
    match = r"for a.b(.|\n)*\('data',\)(.|\n)*jax.set_mesh\(mesh\)"
    with pytest.raises(ArgumentValueError, match=match):
        nnx.abstract_with_sharding(state)


def test_as_abstract_leaves_arrays_and_takes_logical_names(mesh):
    struct = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    state = nnx.State(
        {"a": nnx.Param(struct, out_sharding=("embed",)), "b": jnp.ones(2)}
    )
    with jax.set_mesh(mesh), nnx.logical_axis_rules([("embed", "model")]):
        made = nnx.as_abstract(state)
    assert made["a"].value.sharding.spec == P("model")
    assert made["b"] is state["b"]


def test_an_abstract_model_is_of_the_shape_of_the_model(mesh):
    def build():
        metadata = {"out_sharding": ("embed", "hidden")}
        return nnx.Linear(4, 8, kernel_metadata=metadata, rngs=nnx.Rngs(0))

    with nnx.logical_axis_rules([("embed", None), ("hidden", "model")]):
        graphdef, state = nnx.get_abstract_model(build, mesh)
        made = nnx.jit(build)()
    assert graphdef == nnx.graphdef(made)
    assert state["kernel"].value.sharding == NamedSharding(mesh, P(None, "model"))
    assert state["bias"].value == jax.ShapeDtypeStruct(
        (8,), jnp.float32, sharding=NamedSharding(mesh, P())
    )


def make_trained():
    model = columns()
    return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("wrap", [lambda f: f, nnx.jit], ids=["eager", "jit"])
def test_slots_of_an_optimizer_are_split_like_their_parameters(kind, wrap):
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(kind,) * 2)
    with jax.set_mesh(mesh):
        model, optimizer = wrap(make_trained)()
    slot = optimizer.opt_state[0].mu.kernel.value
    assert slot.sharding.is_equivalent_to(model.kernel.value.sharding, 2)
    assert not slot.sharding.is_fully_replicated


def test_eval_shape_keeps_the_shardings_of_metadata(mesh):
    with jax.set_mesh(mesh):
        model, optimizer = nnx.eval_shape(make_trained)
    expected = NamedSharding(mesh, P(None, "model"))
    assert model.kernel.value.sharding == expected
    assert optimizer.opt_state[0].mu.kernel.value.sharding == expected
    assert nnx.eval_shape(make_trained)[0].kernel.value.sharding is None


def test_first_carry_of_an_rnn_is_split_like_its_input():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    rnn = nnx.RNN(nnx.LSTMCell(4, 8, rngs=nnx.Rngs(0)))
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.ones((4, 3, 4)), NamedSharding(mesh, P("data")))
        out = rnn(x)
    assert out.sharding.spec[0] == "data"


def test_update_puts_values_where_the_array_was(mesh):
    layer = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
    spread = NamedSharding(mesh, P(None, "model"))
    layer.kernel.value = jax.device_put(layer.kernel.value, spread)
    for value in (jnp.ones((4, 8)), np.full((4, 8), 2.0, np.float32)):
        nnx.update(layer, {"kernel": value})
        nnx.update(layer, nnx.State({"kernel": nnx.Param(value)}))
        assert layer.kernel.value.sharding == spread
        np.testing.assert_array_equal(layer.kernel, value)


def test_update_leaves_values_that_the_program_placed_where_they_are(mesh):
    layer = nnx.Linear(4, 8, rngs=nnx.Rngs(0))
    rows, columns = NamedSharding(mesh, P("data")), NamedSharding(mesh, P(None, "data"))
    for sharding in (rows, columns):
        placed = jax.device_put(jnp.ones((4, 8)), sharding)
        nnx.update(layer, {"kernel": placed})
        assert layer.kernel.value.sharding == sharding
