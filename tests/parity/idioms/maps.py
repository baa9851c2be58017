"""vmap, pmap and shard_map: axes, State axes, metadata, prefixes."""

import functools

import jax
import jax.numpy as jnp

from tests.parity.models import make_mesh, make_stack
from tests.parity.table import Table

TABLE = Table("maps")
idiom, differs = TABLE.idiom, TABLE.differs

X = jnp.arange(6.0).reshape(3, 2)


def make_partitioned(nnx, key):
    init = nnx.with_partitioning(nnx.initializers.ones_init(), (None, "mlp"))
    return nnx.Linear(2, 2, kernel_init=init, use_bias=False, rngs=nnx.Rngs(key))


def names_of_a_stack(make):
    """The names of axes and the shape of what is made of three keys at once."""
    with jax.set_mesh(make_mesh()):
        m = make(jax.random.split(jax.random.key(0), 3))
    return m.kernel.get_metadata("out_sharding"), m.kernel.shape


@idiom
def stack_of_layers(nnx):
    """`vmap` of a constructor stacks the Params."""
    m = make_stack(nnx)
    return type(m).__name__, m.kernel.value, m.bias.shape


@idiom
def vmap_of_a_stack(nnx):
    """Each layer of a stack on its own input."""
    return nnx.vmap(lambda m, x: m(x))(make_stack(nnx), X)


@idiom
def vmap_broadcast_model(nnx):
    """`in_axes=(None, 0)` broadcasts the model."""
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    return nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(m, X)


@idiom
def vmap_out_axes(nnx):
    """`out_axes` puts the axis elsewhere."""
    f = nnx.vmap(lambda m, x: m(x), in_axes=(None, 1), out_axes=1)
    return f(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), X)


@idiom
def vmap_keyword_arguments(nnx):
    """Keyword arguments of `vmap` are mapped along axis 0."""
    return nnx.vmap(lambda m, x: m(x))(make_stack(nnx), x=X)


@idiom
def vmap_updates(nnx):
    """State written in `vmap` is stacked back."""
    m = nnx.Dict(n=nnx.Variable(jnp.zeros(3)))

    def f(m, x):
        m.n[...] += x.sum()
        return m.n * 2

    return nnx.vmap(f)(m, X), m.n.value


@idiom
def vmap_state_axes(nnx):
    """`StateAxes` maps some of the state."""
    m = nnx.Dict(a=nnx.Param(X), b=nnx.BatchStat(jnp.array(2.0)))
    axes = nnx.StateAxes({nnx.Param: 0, nnx.BatchStat: None})
    return nnx.vmap(lambda m, x: m.a * m.b + x, in_axes=(axes, 0))(m, X)


@idiom
def vmap_state_axes_by_path(nnx):
    """`StateAxes` by path, and an axis that is not 0."""
    m = nnx.Dict(a=nnx.Param(X), b=nnx.Param(X.T))
    axes = nnx.StateAxes({nnx.PathContains("a"): 0, ...: 1})
    return nnx.vmap(lambda m: m.a - m.b, in_axes=(axes,))(m)


@idiom
def vmap_out_state_axes(nnx):
    """`out_axes=StateAxes` of an object that is made inside."""
    axes = nnx.StateAxes({nnx.PathContains("bias"): None, ...: 1})

    @nnx.vmap(in_axes=0, out_axes=axes)
    def make(key):
        return nnx.Linear(2, 2, rngs=nnx.Rngs(key))

    m = make(jax.random.split(jax.random.key(0), 3))
    return m.kernel.value, m.bias.value


@idiom
def vmap_axis_name(nnx):
    """`axis_name` for collectives."""
    f = nnx.vmap(lambda x: x - jax.lax.pmean(x, "batch"), axis_name="batch")
    return f(X)


@idiom
def vmap_batch_norm_axis_name(nnx):
    """BatchNorm over a mapped axis."""
    m = nnx.BatchNorm(2, axis_name="batch", rngs=nnx.Rngs(0))
    axes = nnx.StateAxes({...: None})
    f = nnx.vmap(lambda m, x: m(x), in_axes=(axes, 0), axis_name="batch")
    return f(m, X[:, None]), m.mean.value


@idiom
def vmap_axis_size(nnx):
    """`axis_size` where nothing is mapped in."""
    return nnx.vmap(lambda: jnp.ones(2), in_axes=(), axis_size=3)()


@idiom
def vmap_container_axes(nnx):
    """A dict of axes for a dict argument."""
    f = nnx.vmap(lambda d: d["a"] + d["b"], in_axes=({"a": 0, "b": None},))
    return f({"a": X, "b": jnp.ones(2)})


@idiom
def vmap_unequal_sizes(nnx):
    """Axes of unequal sizes raise."""
    nnx.vmap(lambda m, x: m(x))(make_stack(nnx), jnp.ones((4, 2)))


@idiom
def vmap_shared_with_other_axes(nnx):
    """One Variable along two axes is refused."""
    v = nnx.Param(jnp.ones((2, 2)))
    nnx.vmap(lambda a, b: a + b, in_axes=(0, 1))(v, v)


@idiom
def vmap_as_method(nnx):
    """`@nnx.vmap` on a method."""

    class Model(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones((3, 2)))

        @nnx.vmap
        def __call__(self, x):
            return self.w * x

    return Model()(X)


@idiom
def vmap_of_constructor_method(nnx):
    """`@nnx.vmap` on `__init__`."""

    class Stack(nnx.Module):
        @nnx.split_rngs(splits=3)
        @functools.partial(nnx.vmap, in_axes=(0, 0))
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 2, rngs=rngs)

    return Stack(nnx.Rngs(0)).linear.kernel.value


@idiom
def vmap_with_dropout(nnx):
    """Split streams give each row its mask."""
    m = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(nnx.StateAxes({nnx.RngState: 0, ...: None}), 0))
    def f(m, x):
        return m(x)

    return f(m, jnp.ones((3, 4))), m.rngs.count.value


@idiom
def vmap_nested(nnx):
    """`vmap` of `vmap`."""
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    inner = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))
    return nnx.vmap(inner, in_axes=(None, 0))(m, jnp.ones((2, 3, 2)))


@idiom
def vmap_of_grad(nnx):
    """Gradients per example."""
    m = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    grads = nnx.vmap(nnx.grad(lambda m, x: m(x).sum()), in_axes=(None, 0))(m, X)
    return nnx.to_pure_dict(grads)


@idiom
def vmap_metadata(nnx):
    """`transform_metadata` adds an axis name to the sharding."""

    @nnx.vmap(in_axes=0, out_axes=0, transform_metadata={nnx.PARTITION_NAME: "layers"})
    def make(key):
        return make_partitioned(nnx, key)

    return names_of_a_stack(make)


@idiom
def transform_metadata_function(nnx):
    """`nnx.transform_metadata` around `jax.vmap`-like code."""

    @nnx.vmap(in_axes=0, out_axes=0)
    @nnx.transform_metadata(in_axes=0, out_axes=0, partition="layers")
    def make(key):
        return make_partitioned(nnx, key)

    return names_of_a_stack(make)


@idiom
def pmap_of_a_model(nnx):
    """`pmap` over one device."""
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    f = nnx.pmap(lambda m, x: m(x), in_axes=(None, 0), devices=jax.devices()[:1])
    return f(m, jnp.ones((1, 3, 2)))


@idiom
def shard_map_of_a_model(nnx):
    """`shard_map` splits the batch."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    m = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    @nnx.shard_map(mesh=mesh, in_specs=(jax.P(), jax.P("x")), out_specs=jax.P("x"))
    def f(m, x):
        return m(x)

    return f(m, jnp.ones((4, 2)))


@idiom
def shard_map_state_specs(nnx):
    """`StateSharding` in `in_specs`."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    m = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    specs = nnx.StateSharding(
        {nnx.PathContains("kernel"): jax.P(None, "x"), ...: jax.P("x")}
    )

    into = {"in_specs": (specs, jax.P()), "out_specs": jax.P(None, "x")}
    return nnx.shard_map(lambda m, x: m(x), mesh=mesh, **into)(m, jnp.ones((4, 2)))


@idiom
def shard_map_updates(nnx):
    """State written in `shard_map` is kept."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    m = nnx.Dict(n=nnx.Variable(jnp.zeros(4)))

    @nnx.shard_map(mesh=mesh, in_specs=(jax.P("x"),), out_specs=jax.P())
    def f(m):
        m.n[...] += jax.lax.axis_index("x") + 1.0
        return jnp.zeros(())

    f(m)
    return m.n.value


@idiom
def state_axes_of_a_state(nnx):
    """`StateAxes` made of a State of axes."""
    m = nnx.Dict(a=nnx.Param(X), b=nnx.Param(jnp.ones(2)))
    axes = nnx.StateAxes(nnx.State({"a": 0, "b": None}))
    return nnx.vmap(lambda m: m.a + m.b, in_axes=(axes,))(m)


@differs("axes of one argument need no tuple; flax wants one around what is no number")
def axes_without_a_tuple(nnx):
    """`in_axes=StateAxes(...)` for a function of one argument."""
    m = nnx.Dict(a=nnx.Param(X))
    return nnx.vmap(lambda m: m.a * 2, in_axes=nnx.StateAxes({...: 0}))(m)


@idiom
def prefix_of_a_dict(nnx):
    """`nnx.prefix` gives the axes of each leaf, by a function or by filters."""
    d = {"a": nnx.Param(jnp.array(2.0)), "b": nnx.BatchStat(X)}
    by_path = nnx.prefix(d, lambda path, x: 0 if "b" in path else None, graph=False)
    by_type = nnx.prefix(d, {nnx.Param: None, nnx.BatchStat: 0}, graph=False)
    f = lambda d: d["a"] * d["b"]  # noqa: E731
    return [nnx.vmap(f, in_axes=(p,), graph=False)(d) for p in (by_path, by_type)]


@idiom
def prefix_of_a_model(nnx):
    """`nnx.prefix` of a model has its shape, and `jax.vmap` takes it."""
    m = make_stack(nnx)
    axes = nnx.prefix(m, {nnx.PathContains("bias"): 0, ...: 0}, graph=False)
    out = jax.vmap(lambda m, x: m(x), in_axes=(axes, 0))(m, X)
    return type(axes).__name__, axes.kernel, out


@idiom
def prefix_of_two_models(nnx):
    """Prefixes of models that are shared, in the mode of graphs."""
    m = make_stack(nnx)
    p1, p2 = nnx.prefix((m, m), {nnx.Param: 0}, graph=True)
    f = lambda a, b, x: a(x) + b(x)  # noqa: E731
    return nnx.vmap(f, in_axes=(p1, p2, None), graph=True, graph_updates=False)(m, m, X)
