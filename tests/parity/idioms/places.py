"""Functions that stand in the submodules of flax.nnx alone."""

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("places")
idiom, differs = TABLE.idiom, TABLE.differs

Q = jnp.arange(24.0).reshape(1, 3, 2, 4) / 10
MASK = jnp.tril(jnp.ones((1, 1, 3, 3), bool))


@idiom
def attention_weights(nnx):
    """`dot_product_attention_weights` alone."""
    return nnx.nn.attention.dot_product_attention_weights(Q, Q)


@idiom
def attention_weights_mask_bias(nnx):
    """The same with a mask, a bias and dtype."""
    weights = nnx.nn.attention.dot_product_attention_weights
    bias = jnp.ones((1, 2, 3, 3)) * jnp.arange(3)
    return (
        weights(Q, Q, mask=MASK),
        weights(Q, Q, bias=bias, is_causal=True),
        weights(Q, Q, dtype=jnp.bfloat16),
    )


@idiom
def attention_weights_grouped(nnx):
    """Fewer heads of keys than of queries."""
    return nnx.nn.attention.dot_product_attention_weights(Q, Q[:, :, :1])


@idiom
def attention_weights_dropout(nnx):
    """Dropout of the weights."""
    weights = nnx.nn.attention.dot_product_attention_weights
    key = jax.random.key(0)
    options = {"dropout_rng": key, "dropout_rate": 0.5}
    return weights(Q, Q, **options), weights(Q, Q, broadcast_dropout=False, **options)


@idiom
def attention_weights_are_sown(nnx):
    """`module=` sows them."""
    module = nnx.Module()
    nnx.nn.attention.dot_product_attention_weights(Q, Q, module=module)
    return module.attention_weights.get_value()


@idiom
def attention_weights_depths(nnx):
    """Another depth of keys raises."""
    nnx.nn.attention.dot_product_attention_weights(Q, Q[..., :2])


@idiom
def state_diff(nnx):
    """`statelib.diff` leaves the paths that the other lacks."""
    one = nnx.State({"a": 1, "b": {"c": 2, "d": 3}})
    other = nnx.State({"b": {"c": 5}})
    diff = nnx.statelib.diff
    return diff(one, other).to_pure_dict(), diff(other, one).to_pure_dict()


@idiom
def state_diff_of_nothing(nnx):
    """`diff` with an empty State is the State."""
    one = nnx.State({"a": 1})
    return nnx.statelib.diff(one, nnx.State({})) is one


@idiom
def path_filters(nnx):
    """`create_path_filters` makes filters of a State of axes."""
    axes = nnx.State({"a": 0, "b": {"c": None, "d": 0}})
    found = nnx.statelib.create_path_filters(axes)
    return [
        (value, filter(("a",), 0), filter(("b", "c"), 0))
        for filter, value in found.items()
    ]


@idiom
def backup_keys(nnx):
    """`rnglib.backup_keys` with `restore_rngs`: keys alone, counts go on."""
    rngs = nnx.Rngs(0, params=1)
    backups = nnx.rnglib.backup_keys(rngs)
    rngs.default.key.set_value(jax.random.key(9))
    rngs.params()
    nnx.restore_rngs(backups)
    return rngs.default.key.get_value(), rngs.params.count.get_value(), len(backups)


@idiom
def spec_of_a_variable(nnx):
    """`spmd.get_var_pspec` of names, of none, and of what is no array."""
    spec = nnx.spmd.get_var_pspec
    named = nnx.Param(jnp.ones((2, 2)), out_sharding=("a", None), eager_sharding=False)
    return spec(named), spec(nnx.Param(jnp.ones(2)))


@idiom
def add_axis(nnx):
    """`spmd.add_axis` puts a name into the metadata, in place."""
    v = nnx.Param(jnp.ones(2), out_sharding=("a",), eager_sharding=False)
    state = nnx.State({"v": v})
    out = nnx.spmd.add_axis(state, 0, {nnx.PARTITION_NAME: "layers"})
    return v.get_metadata("out_sharding"), out["v"].get_metadata("out_sharding")


@idiom
def add_axis_beyond(nnx):
    """An index beyond the names fills up with None."""
    v = nnx.Param(jnp.ones(2), out_sharding=("a",), eager_sharding=False)
    nnx.spmd.add_axis(v, 3, {nnx.PARTITION_NAME: "layers"})
    return v.get_metadata("out_sharding")


@idiom
def add_axis_other_metadata(nnx):
    """Other metadata with an entry for each axis."""
    v = nnx.Param(jnp.ones(2), out_sharding=("a",), units=("m",), eager_sharding=False)
    nnx.spmd.add_axis(v, 0, {nnx.PARTITION_NAME: "layers", "units": "s"})
    return v.get_metadata("out_sharding"), v.get_metadata("units")


@idiom
def remove_axis(nnx):
    """`spmd.remove_axis` takes the name out."""
    v = nnx.Param(jnp.ones((3, 2)), out_sharding=("layers", "a"), eager_sharding=False)
    nnx.spmd.remove_axis(v, 0, {nnx.PARTITION_NAME: "layers"})
    return v.get_metadata("out_sharding")


@idiom
def remove_axis_of_another_name(nnx):
    """Another name at that place raises."""
    v = nnx.Param(jnp.ones((3, 2)), out_sharding=("b", "a"), eager_sharding=False)
    nnx.spmd.remove_axis(v, 0, {nnx.PARTITION_NAME: "layers"})


@idiom
def add_axis_without_a_name(nnx):
    """Metadata without a name of the axis raises."""
    v = nnx.Param(jnp.ones((3, 2)), out_sharding=("b", "a"), eager_sharding=False)
    nnx.spmd.add_axis(v, 0, {})


@idiom
def add_axis_runs_hooks(nnx):
    """The hooks of the Variable run with index and name."""
    seen = []
    hook = lambda v, index, name: seen.append((index, name))  # noqa: E731
    v = nnx.Param(
        jnp.ones(2),
        on_add_axis=hook,
        on_remove_axis=hook,
        out_sharding=("a",),
        eager_sharding=False,
    )
    nnx.spmd.add_axis(v, 1, {nnx.PARTITION_NAME: "x"})
    nnx.spmd.remove_axis(v, 1, {nnx.PARTITION_NAME: "x"})
    return seen


class Pair:
    """A class of others."""

    def __init__(self, a, b, name):
        self.a, self.b, self.name = a, b, name


def register(nnx):
    """Pair as a node of the library; a class for each, since JAX is told too."""

    class Own(Pair):
        pass

    def init(node, pairs):
        for key, value in pairs:
            setattr(node, key, value)

    nnx.graph.register_graph_node_type(
        Own,
        flatten=lambda node: ([("a", node.a), ("b", node.b)], node.name),
        set_key=setattr,
        pop_key=lambda node, key: node.__dict__.pop(key),
        create_empty=lambda name: Own(None, None, name),
        clear=lambda node: [delattr(node, key) for key in ("a", "b")],
        init=init,
    )
    return Own


@idiom
def registered_node_splits(nnx):
    """A registered class splits and merges."""
    pair = register(nnx)(nnx.Param(jnp.ones(2)), nnx.Param(jnp.zeros(1)), "p")
    graphdef, state = nnx.split(pair)
    again = nnx.merge(graphdef, state)
    return nnx.to_pure_dict(state), again.a.get_value(), again.name


@idiom
def registered_node_in_a_model(nnx):
    """A registered class as a part of a model, updated in `jit`."""
    pair = register(nnx)(nnx.Param(jnp.ones(2)), nnx.Param(jnp.zeros(1)), "p")
    model = nnx.Dict(pair=nnx.data(pair))

    @nnx.jit
    def step(model):
        model.pair.a[...] += 1

    step(model)
    paths = [path for path, _ in nnx.iter_graph(model) if "pair" in path]
    return pair.a.get_value(), sorted(map(str, paths))


@idiom
def registered_twice(nnx):
    """The same class cannot be registered twice."""
    pair = register(nnx)
    nnx.graph.register_graph_node_type(pair, *[None] * 6)


@idiom
def convolution_dimension_numbers(nnx):
    """How an input of a shape lies, as exporters of models ask."""
    dimension_numbers = nnx.nn.linear._conv_dimension_numbers
    return tuple(dimension_numbers((2, 8, 8, 3))), tuple(dimension_numbers((2, 8, 3)))
