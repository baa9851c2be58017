"""Sharding by names of axes: the same specs and shardings as flax.nnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import oakum
from tests.nn.peer import both, flax_nnx, lenient

pytestmark = pytest.mark.peer

KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
RULES = (("embed", "model"), ("batch", "data"), ("hidden", None))


def make_mesh(kind="auto"):
    return jax.make_mesh((2, 2), ("data", "model"), axis_types=(KINDS[kind],) * 2)


def model(nnx, names=(None, "model"), **options):
    init = nnx.with_partitioning(nnx.initializers.lecun_normal(), names, **options)
    bias = {"out_sharding": names[1:]}
    return nnx.Linear(4, 8, kernel_init=init, bias_metadata=bias, rngs=nnx.Rngs(0))


def values(nnx, state):
    """What the Variables of a state hold, by path."""
    return {path: leaf.get_value() for path, leaf in nnx.to_flat_state(state)}


def same(function):
    """`function(nnx)` gives for both the same values of the same paths."""
    got = values(oakum, function(oakum))
    with lenient():
        assert got == values(flax_nnx, function(flax_nnx))
    return got


NAMES = {
    "mesh-axes": (None, "model"),
    "both": ("data", "model"),
    "several": (None, ("data", "model")),
    "spec": P("model", None),
    "none": (None, None),
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_specs_and_named_shardings(names):
    mesh = make_mesh()
    with jax.set_mesh(mesh):
        state = [nnx.state(model(nnx, names)) for nnx in (oakum, flax_nnx)]
    ours, theirs = state
    for function in ("get_partition_spec", "get_named_sharding"):
        args = (mesh,) if function == "get_named_sharding" else ()
        got = values(oakum, getattr(oakum, function)(ours, *args))
        expected = values(flax_nnx, getattr(flax_nnx, function)(theirs, *args))
        assert got == expected
        assert type(got["kernel",]) is (NamedSharding if args else P)


def test_specs_of_arrays_and_other_leaves():
    tree = {"array": jnp.ones(3), "number": 1.0, "none": None}
    assert oakum.get_partition_spec(tree) == flax_nnx.get_partition_spec(tree)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_spread_as_they_are_made(kind):
    with jax.set_mesh(make_mesh(kind)):
        ours, theirs = both(model)
    for name in ("kernel", "bias"):
        a, b = getattr(ours, name).get_value(), getattr(theirs, name).get_value()
        assert a.sharding == b.sharding
        assert len(a.addressable_shards) == 4
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_mesh_in_the_metadata_is_taken():
    mesh = make_mesh()

    def build(nnx):
        init = nnx.with_partitioning(nnx.initializers.ones_init(), ("data",), mesh)
        return nnx.Linear(4, 8, bias_init=init, rngs=nnx.Rngs(0))

    ours, theirs = both(build)
    assert ours.bias.value.sharding == theirs.bias.get_value().sharding
    assert ours.bias.value.sharding == NamedSharding(mesh, P("data"))


def test_logical_names_follow_the_rules():
    with jax.set_mesh(make_mesh()):

        def build(nnx):
            with nnx.logical_axis_rules(RULES):
                made = model(nnx, ("batch", "embed"))
                return made.kernel.get_value().sharding, nnx.state(made)

        (got, ours), (expected, theirs) = both(build)
        assert got == expected
        assert got.spec == P("data", "model")
        for nnx, state in ((oakum, ours), (flax_nnx, theirs)):
            with nnx.logical_axis_rules((("batch", None), ("embed", "data"))):
                specs = values(nnx, nnx.get_partition_spec(state))
            assert specs == {("kernel",): P(None, "data"), ("bias",): P("data")}


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in ours"])
def test_rules_of_linen_are_in_force(nested):
    linen = pytest.importorskip("flax.linen")

    def build(nnx):
        outer = (("embed", None), ("batch", None)) if nested else ()
        with nnx.logical_axis_rules(outer), linen.logical_axis_rules(RULES):
            made = model(nnx, ("batch", "embed"))
            specs = values(nnx, nnx.get_partition_spec(nnx.state(made)))
            return made.kernel.get_value().sharding.spec, specs[("kernel",)]

    with jax.set_mesh(make_mesh()):
        assert build(oakum) == build(flax_nnx) == (P("data", "model"),) * 2


def test_linen_sees_rules_until_the_block_ends():
    linen = pytest.importorskip("flax.linen")
    with oakum.logical_axis_rules(RULES):
        assert linen.logical_to_mesh(P("embed", "hidden")) == P("model", None)
    assert linen.get_logical_axis_rules() == ()


def test_rules_of_a_variable_join_those_of_the_context():
    def build(nnx):
        with nnx.logical_axis_rules((("embed", "model"),)):
            made = model(nnx, ("batch", "embed"), sharding_rules=(("batch", "data"),))
            specs = nnx.get_partition_spec(nnx.state(made, nnx.PathContains("kernel")))
            return made.kernel.get_value().sharding, values(nnx, specs)

    with jax.set_mesh(make_mesh()):
        assert build(oakum) == build(flax_nnx)


def test_as_abstract_adds_what_is_missing():
    def build(nnx):
        def leaf(**options):
            given = {k: v for k, v in options.items() if k != "metadata"}
            struct = jax.ShapeDtypeStruct((4, 8), jnp.float32, **given)
            return nnx.Param(
                struct, eager_sharding=False, **options.get("metadata", {})
            )

        here = NamedSharding(mesh, P("model"))
        named = {"out_sharding": ("data", "model")}
        state = nnx.State(
            {
                "named": leaf(metadata=named),
                "own": leaf(metadata={**named, "mesh": mesh}),
                "plain": leaf(),
                "there": leaf(sharding=here, metadata=named),
            }
        )
        return {
            path: (value.shape, value.dtype, getattr(value, "sharding", None))
            for path, value in values(nnx, nnx.as_abstract(state)).items()
        }

    mesh = make_mesh()
    with jax.set_mesh(mesh):
        ours, theirs = build(oakum), build(flax_nnx)
    assert ours == theirs
    assert ours["named",][2].spec == P("data", "model")
    assert ours["plain",][2] is None
    assert ours["there",][2].spec == P("model")


@pytest.mark.parametrize("kind", KINDS)
def test_get_abstract_model(kind):
    mesh = make_mesh(kind)

    def build(nnx):
        graphdef, state = nnx.get_abstract_model(lambda: model(nnx), mesh)
        made = {
            path: (value.shape, value.dtype, value.sharding)
            for path, value in values(nnx, state).items()
        }
        return type(nnx.merge(graphdef, state)).__name__, made

    ours = build(oakum)
    with lenient():
        assert ours == build(flax_nnx)
    assert ours[1]["kernel",] == (
        (4, 8),
        jnp.float32,
        NamedSharding(mesh, P(None, "model")),
    )
