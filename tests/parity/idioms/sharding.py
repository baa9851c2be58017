"""Sharding: metadata, its spellings, placement, specs and abstract models."""

import jax
import jax.numpy as jnp
import optax

from tests.parity.table import Table

TABLE = Table("sharding")
idiom, differs = TABLE.idiom, TABLE.differs


def make_mesh(*names):
    sizes = (2, 2) if len(names) == 2 else (2,) * len(names)
    kinds = (jax.sharding.AxisType.Auto,) * len(names)
    return jax.make_mesh(sizes, names, axis_types=kinds)


def make_layer(nnx, names=(None, "x")):
    init = nnx.with_partitioning(nnx.initializers.lecun_normal(), names)
    return nnx.Linear(2, 4, kernel_init=init, rngs=nnx.Rngs(0))


SPELLINGS = ("sharding", "sharding_names", "out_sharding")


def spelled(name):
    def program(nnx):
        with jax.set_mesh(make_mesh("x")):
            v = nnx.Param(jnp.ones((2, 4)), **{name: (None, "x")})
        return v.value.sharding, v.get_metadata("out_sharding"), v.sharding_names

    return program


for name in SPELLINGS:
    TABLE.add(f"spelled_{name}", spelled(name), f"Names of axes given as `{name}`.")


@idiom
def eager_placement(nnx):
    """A Param is placed when it is made under a mesh."""
    with jax.set_mesh(make_mesh("x")):
        m = make_layer(nnx)
    return m.kernel.value.sharding, m.kernel.value


@idiom
def mesh_in_the_metadata(nnx):
    """The mesh is given with the names."""
    mesh = make_mesh("x")
    v = nnx.Param(jnp.ones((2, 4)), out_sharding=(None, "x"), mesh=mesh)
    return v.value.sharding, v.get_metadata("mesh") is mesh


@differs("names alone are metadata until there is a mesh; flax raises at once")
def names_without_a_mesh(nnx):
    """Names of axes without any mesh."""
    return make_layer(nnx).kernel.get_metadata("out_sharding")


@idiom
def partition_spec(nnx):
    """`get_partition_spec` of a State."""
    with jax.set_mesh(make_mesh("x")):
        spec = nnx.get_partition_spec(nnx.state(make_layer(nnx)))
    return nnx.to_pure_dict(spec)


@idiom
def partition_spec_of_a_model(nnx):
    """`get_partition_spec` of a model."""
    with jax.set_mesh(make_mesh("x")):
        spec = nnx.get_partition_spec(make_layer(nnx))
    return spec.kernel, spec.bias


@idiom
def named_sharding(nnx):
    """`get_named_sharding` of a State."""
    mesh = make_mesh("x")
    with jax.set_mesh(mesh):
        state = nnx.state(make_layer(nnx))
    return nnx.to_pure_dict(nnx.get_named_sharding(state, mesh))


@idiom
def constraint_by_hand(nnx):
    """`with_sharding_constraint` of a State inside `jit`."""
    mesh = make_mesh("x")

    @nnx.jit
    def make():
        m = make_layer(nnx)
        state = nnx.state(m)
        specs = nnx.get_partition_spec(state)
        nnx.update(m, jax.lax.with_sharding_constraint(state, specs))
        return m

    with jax.set_mesh(mesh):
        m = make()
    return m.kernel.value.sharding, m.kernel.value


@idiom
def logical_rules(nnx):
    """`logical_axis_rules` turn names into axes of the mesh."""
    with (
        jax.set_mesh(make_mesh("x")),
        nnx.logical_axis_rules([("mlp", "x"), ("in", None)]),
    ):
        m = make_layer(nnx, ("in", "mlp"))
    return m.kernel.value.sharding, m.kernel.get_metadata("out_sharding")


@idiom
def rules_in_the_metadata(nnx):
    """`sharding_rules` of a Variable."""
    with jax.set_mesh(make_mesh("x")):
        v = nnx.Param(
            jnp.ones((2, 4)), out_sharding=("in", "mlp"),
            sharding_rules=[("mlp", "x"), ("in", None)],
        )  # fmt: skip
    return v.value.sharding


@idiom
def optimizer_slots_are_placed(nnx):
    """The slots of an optimizer lie like their parameters."""
    with jax.set_mesh(make_mesh("x")):
        m = make_layer(nnx)
        optimizer = nnx.Optimizer(m, optax.adam(1e-3), wrt=nnx.Param)
    return optimizer.opt_state[0].mu["kernel"].value.sharding


@idiom
def optimizer_slots_keep_metadata(nnx):
    """The slots have the metadata of their parameters."""
    with jax.set_mesh(make_mesh("x")):
        m = make_layer(nnx)
        optimizer = nnx.Optimizer(m, optax.adam(1e-3), wrt=nnx.Param)
    return optimizer.opt_state[0].mu["kernel"].get_metadata("out_sharding")


@idiom
def abstract_model_with_sharding(nnx):
    """`get_abstract_model` gives graphdef and abstract state on a mesh."""
    mesh = make_mesh("x")
    with jax.set_mesh(mesh):
        _, state = nnx.get_abstract_model(lambda: make_layer(nnx), mesh)
    kernel = state["kernel"].value
    return kernel.shape, kernel.sharding.spec


@idiom
def abstract_with_sharding(nnx):
    """`abstract_with_sharding` of a model."""
    with jax.set_mesh(make_mesh("x")):
        m = nnx.abstract_with_sharding(make_layer(nnx))
    return m.kernel.value.shape, m.kernel.value.sharding


@idiom
def eval_shape_keeps_shardings(nnx):
    """`eval_shape` of a constructor keeps the shardings of metadata."""
    with jax.set_mesh(make_mesh("x")):
        m = nnx.eval_shape(lambda: make_layer(nnx))
    return m.kernel.get_metadata("out_sharding"), m.kernel.value.sharding


@idiom
def axis_metadata_methods(nnx):
    """`add_axis` and `remove_axis` of a Variable."""
    with jax.set_mesh(make_mesh("x")):
        v = nnx.Param(jnp.ones((2, 4)), out_sharding=(None, "x"))
    v.add_axis(0, "layers")
    first = v.get_metadata("out_sharding")
    v.remove_axis(0, "layers")
    return first, v.get_metadata("out_sharding")


@idiom
def axis_hooks(nnx):
    """`on_add_axis` sees the axes that `vmap` adds."""
    seen = []
    mesh = make_mesh("x")

    @nnx.vmap(in_axes=0, out_axes=0, transform_metadata={nnx.PARTITION_NAME: "layers"})
    def make(key):
        value = jnp.ones((2, 4))
        hook = lambda v, i, name: seen.append((i, name))  # noqa: E731
        return nnx.Dict(w=nnx.Param(value, out_sharding=(None, "x"), on_add_axis=hook))

    with jax.set_mesh(mesh):
        make(jax.random.split(jax.random.key(0), 3))
    return seen


@idiom
def sharded_batch_in_jit(nnx):
    """A batch placed by hand, in a compiled step."""
    mesh = make_mesh("x")
    sharding = jax.sharding.NamedSharding(mesh, jax.P("x"))
    x = jax.device_put(jnp.ones((4, 2)), sharding)
    m = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    return nnx.jit(lambda m, x: m(x))(m, x)


@idiom
def partitioned_metadata_round_trip(nnx):
    """Metadata of sharding survive split and merge."""
    with jax.set_mesh(make_mesh("x")):
        m = nnx.merge(*nnx.split(make_layer(nnx)))
    return m.kernel.get_metadata("out_sharding")


@idiom
def device_put_of_a_state(nnx):
    """`jax.device_put` of a State by a State of shardings."""
    mesh = make_mesh("x")
    with jax.set_mesh(mesh):
        m = make_layer(nnx)
        state = nnx.state(m)
        shardings = nnx.get_named_sharding(state, mesh)
        nnx.update(m, jax.device_put(state, shardings))
    return m.kernel.value.sharding


@idiom
def explicit_mesh(nnx):
    """An Explicit mesh: the output's sharding is chosen at the call."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        m = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
        out = m(jax.device_put(jnp.ones((4, 2)), jax.P("x", None)))
    return jax.typeof(out).sharding.spec


@idiom
def initializer_metadata(nnx):
    """`with_partitioning` adds metadata of the user's."""
    init = nnx.with_partitioning(nnx.initializers.ones_init(), (None, "x"), tag="a")
    with jax.set_mesh(make_mesh("x")):
        m = nnx.Linear(2, 4, kernel_init=init, rngs=nnx.Rngs(0))
    return m.kernel.tag, m.kernel.get_metadata("out_sharding")


@idiom
def jit_of_an_init(nnx):
    """`nnx.jit` of a constructor with metadata places the Params."""
    with jax.set_mesh(make_mesh("x")):
        m = nnx.jit(lambda: make_layer(nnx))()
    return m.kernel.value.sharding, m.kernel.get_metadata("out_sharding")
