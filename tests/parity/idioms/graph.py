"""The graph: split, merge, clone, map, flatten, GraphDef, abstract models."""

import pickle

import jax
import jax.numpy as jnp

from tests.parity.table import Table

TABLE = Table("graph")
idiom, differs = TABLE.idiom, TABLE.differs


def make_block(nnx, seed=0):
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 2, rngs=rngs)
            self.norm = nnx.BatchNorm(2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.width = 2

        def __call__(self, x):
            return self.dropout(self.norm(self.linear(x)))

    return Block(nnx.Rngs(seed))


def paths(nnx, state):
    return sorted(".".join(map(str, path)) for path, _ in nnx.to_flat_state(state))


@idiom
def split_and_merge(nnx):
    """`split` and `merge` give back the model."""
    model = make_block(nnx)
    merged = nnx.merge(*nnx.split(model))
    return merged(jnp.ones((4, 2))), merged.width, type(merged).__name__


@idiom
def split_by_filters(nnx):
    """`split` with filters gives a State for each."""
    _, *states = nnx.split(make_block(nnx), nnx.Param, nnx.BatchStat, ...)
    return [paths(nnx, s) for s in states]


@idiom
def split_not_exhaustive(nnx):
    """`split` whose filters leave some is refused."""
    nnx.split(make_block(nnx), nnx.Param)


@idiom
def ellipsis_must_be_last(nnx):
    """`...` stands last among the filters."""
    nnx.split(make_block(nnx), ..., nnx.Param)


@idiom
def merge_of_several(nnx):
    """`merge` takes several States in any order."""
    graphdef, params, rest = nnx.split(make_block(nnx), nnx.Param, ...)
    return nnx.merge(graphdef, rest, params).linear.kernel.value


@idiom
def merge_uses_the_variables(nnx):
    """A write through the merged model is seen in what was split, or not."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model)
    merged = nnx.merge(graphdef, state)
    merged.bias.value = jnp.ones(2)
    return state["bias"].value, model.bias.value


@idiom
def merge_copy(nnx):
    """`merge(copy=True)` makes Variables of its own."""
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    merged = nnx.merge(graphdef, state, copy=True)
    merged.bias.value = jnp.ones(2)
    return state["bias"].value


@idiom
def merge_without_states(nnx):
    """`merge(graphdef)` alone is refused."""
    nnx.merge(nnx.split(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))[0])


@idiom
def merge_of_too_little(nnx):
    """`merge` of a State that lacks leaves is refused."""
    graphdef, params, _ = nnx.split(make_block(nnx), nnx.Param, ...)
    nnx.merge(graphdef, params)


@idiom
def merge_of_too_much(nnx):
    """`merge` of a State with further leaves is refused."""
    graphdef, state = nnx.split(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))
    state["more"] = nnx.Param(1.0)
    nnx.merge(graphdef, state)


@idiom
def merge_of_a_pure_dict(nnx):
    """`merge` takes a dict of arrays."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(layer)
    merged = nnx.merge(graphdef, nnx.to_pure_dict(state))
    return merged.kernel[...], merged.bias[...]


@idiom
def merge_of_mapped_state(nnx):
    """`merge` of a State that `jax.tree.map` changed."""
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    merged = nnx.merge(graphdef, jax.tree.map(lambda x: x.astype(jnp.bfloat16), state))
    return merged.kernel.value.dtype, merged(jnp.ones((1, 2))).dtype


@idiom
def split_of_containers(nnx):
    """Lists, dicts and tuples of models split and merge."""
    pair = (nnx.Linear(1, 1, rngs=nnx.Rngs(0)), {"a": nnx.Param(2.0), "n": 3})
    graphdef, state = nnx.split(pair)
    linear, rest = nnx.merge(graphdef, state)
    return linear.bias.value, rest["a"].value, paths(nnx, state)


@idiom
def split_of_two_models_that_share(nnx):
    """Sharing across a tuple survives split and merge."""
    shared = nnx.Param(1.0)
    graphdef, state = nnx.split((nnx.Dict(w=shared), nnx.Dict(w=shared)))
    a, b = nnx.merge(graphdef, state)
    return a.w is b.w, paths(nnx, state)


@idiom
def split_of_an_array(nnx):
    """A lone array splits and merges."""
    graphdef, state = nnx.split(jnp.ones(2))
    return nnx.merge(graphdef, state)


@idiom
def split_of_an_array_by_filters(nnx):
    """A lone array splits by filters into a state for each."""
    parts = nnx.split(jnp.ones(2), nnx.Param, ...)
    return len(parts), nnx.merge(*parts)


@idiom
def split_of_a_variable(nnx):
    """A lone Variable splits and merges."""
    graphdef, state = nnx.split(nnx.Param(jnp.ones(2)))
    v = nnx.merge(graphdef, state)
    return type(v).__name__, v.value


@idiom
def split_of_repeated_containers(nnx):
    """A plain dict that stands twice comes back as two."""
    shared = {"w": nnx.Param(1.0)}
    a, b = nnx.merge(*nnx.split([shared, shared]))
    return a is b, a["w"] is b["w"]


@idiom
def split_of_none(nnx):
    """None and numbers inside a container."""
    return nnx.merge(*nnx.split({"a": None, "b": 2, "c": "x", "d": jnp.ones(1)}))


@idiom
def graphdef_function(nnx):
    """`nnx.graphdef` is the first of `split`."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    return nnx.graphdef(layer) == nnx.split(layer)[0]


@idiom
def graphdef_is_hashable(nnx):
    """Equal structures have equal GraphDefs and hashes."""
    a, b = (nnx.graphdef(nnx.Linear(2, 2, rngs=nnx.Rngs(s))) for s in (0, 1))
    c = nnx.graphdef(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return a == b, hash(a) == hash(b), a == c


@idiom
def graphdef_apply(nnx):
    """`graphdef.apply(state)(x)` gives result and new parts."""
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    out, (graphdef, state) = graphdef.apply(state)(jnp.ones((1, 2)))
    return out, paths(nnx, state)


@idiom
def call_function(nnx):
    """`nnx.call((graphdef, state))(x)` likewise, and its methods."""
    pure = nnx.split(make_block(nnx))
    out, (_, state) = nnx.call(pure).linear(jnp.ones((1, 2)))
    return out, paths(nnx, state)


@idiom
def graphdef_subscripted(nnx):
    """`nnx.GraphDef[Model]` stands in annotations."""

    def f(graphdef: nnx.GraphDef[nnx.Module]) -> nnx.GraphDef[nnx.Linear]:  # type: ignore
        return graphdef

    return f(1)


@idiom
def graphdef_pickles(nnx):
    """A GraphDef pickles, equal to itself."""
    graphdef = nnx.graphdef(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    return pickle.loads(pickle.dumps(graphdef)) == graphdef


@idiom
def clone_is_apart(nnx):
    """`clone` gives a model with its own Variables."""
    model = make_block(nnx)
    other = nnx.clone(model)
    other.linear.bias.value = jnp.ones(2)
    return model.linear.bias.value, other.linear.bias.value, type(other).__name__


@idiom
def clone_keeps_sharing(nnx):
    """`clone` keeps shared references shared."""
    shared = nnx.Param(1.0)
    other = nnx.clone(nnx.Dict(a=shared, b=shared))
    return other.a is other.b, other.a is shared


@idiom
def clone_without_variables(nnx):
    """`clone(variables=False)` shares the Variables."""
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    return nnx.clone(model, variables=False).kernel is model.kernel


@idiom
def map_over_variables(nnx):
    """`nnx.map` sees path and Variable and gives a new model."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    other = nnx.map(lambda path, v: v.replace(jnp.zeros_like(v.value)), model)
    return other.kernel.value, model.bias.value, type(other).__name__


@idiom
def map_by_path(nnx):
    """`nnx.map` by path changes some."""
    model = make_block(nnx)

    def cast(path, v):
        return v.replace(v.value.astype(jnp.bfloat16)) if "linear" in path else v

    other = nnx.map(cast, model)
    return other.linear.kernel.dtype, other.norm.scale.dtype


@idiom
def map_without_recreating(nnx):
    """`nnx.map(recreate_variables=False)` keeps the Variables it is given."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    other = nnx.map(lambda path, v: v, model, recreate_variables=False)
    return other.kernel is model.kernel, other is model


@idiom
def flatten_and_unflatten(nnx):
    """`nnx.flatten` and `nnx.unflatten`."""
    graphdef, flat = nnx.flatten(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    layer = nnx.unflatten(graphdef, flat)
    return [path for path, _ in flat], layer(jnp.ones((1, 2)))


@idiom
def flatten_without_paths(nnx):
    """`nnx.flatten(with_paths=False)` gives a list of leaves."""
    graphdef, leaves = nnx.flatten(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), with_paths=False)
    return [x.shape for x in leaves], nnx.unflatten(graphdef, leaves).bias.value


@idiom
def as_pure_dict_of_arrays(nnx):
    """`nnx.pure` (`as_pure`) gives a State of arrays."""
    pure = nnx.pure(nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0))))
    return pure["bias"], type(pure).__name__


@idiom
def as_abstract(nnx):
    """`as_abstract` gives shapes in place of arrays."""
    model = nnx.as_abstract(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return model.kernel.value, model.bias.shape, type(model).__name__


@idiom
def as_abstract_of_a_state(nnx):
    """`as_abstract` of a State."""
    state = nnx.as_abstract(nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))))
    return state["kernel"].value


@idiom
def eval_shape_of_a_constructor(nnx):
    """`eval_shape` gives an abstract model."""
    model = nnx.eval_shape(lambda: make_block(nnx))
    _, state = nnx.split(model)
    return [
        (path, v.value) for path, v in nnx.to_flat_state(state) if "count" not in path
    ]


@idiom
def eval_shape_with_an_argument(nnx):
    """`eval_shape` takes Rngs as an argument."""
    model = nnx.eval_shape(lambda r: nnx.Linear(2, 3, rngs=r), nnx.Rngs(0))
    return model.kernel.value, model.bias.dtype


@idiom
def eval_shape_of_a_call(nnx):
    """`eval_shape` of a model's call gives shape and dtype."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    return nnx.eval_shape(lambda m, x: m(x), model, jnp.ones((4, 2)))


@idiom
def fill_an_abstract_model(nnx):
    """An abstract model takes weights by `merge`, `update` and by hand."""
    abstract = nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(abstract)
    pure = nnx.to_pure_dict(state)
    filled = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), pure)
    nnx.replace_by_pure_dict(state, filled)
    return nnx.merge(graphdef, state)(jnp.ones((1, 2)))


@idiom
def set_attr_of_an_abstract_model(nnx):
    """`update` of an abstract model with arrays."""
    abstract = nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    nnx.update(abstract, nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(1))))
    return abstract(jnp.ones((1, 2)))


@idiom
def abstract_in_a_computation(nnx):
    """Computing with an abstract model raises."""
    nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))(jnp.ones((1, 2)))


@idiom
def to_tree_and_from_tree(nnx):
    """`to_tree` and `from_tree` turn models into pytrees and back."""
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    tree = nnx.to_tree({"m": model, "x": jnp.ones(1)})
    again = nnx.from_tree(tree)
    return again["m"].kernel.value, again["x"]


@idiom
def graph_module(nnx):
    """`nnx.graph` has the functions on graphs."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    graphdef, state = nnx.graph.split(layer)
    return nnx.graph.merge(graphdef, state)(jnp.ones((1, 2))), nnx.graph.is_node(layer)


@idiom
def unpack_of_graph_states(nnx):
    """`nnx.unpack` is `split`."""
    return len(nnx.unpack(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), nnx.Param))


@idiom
def merge_under_jax_jit(nnx):
    """The functional form: split outside, merge inside `jax.jit`."""
    graphdef, state = nnx.split(make_block(nnx))

    @jax.jit
    def step(state, x):
        model = nnx.merge(graphdef, state)
        y = model(x)
        return y, nnx.state(model)

    y, state = step(state, jnp.arange(8.0).reshape(4, 2))
    return y, nnx.to_pure_dict(state)["norm"]["mean"]


@idiom
def graphdef_through_jax_jit(nnx):
    """A GraphDef is returned from `jax.jit`."""

    @jax.jit
    def make():
        return nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))

    return nnx.merge(*make())(jnp.ones((1, 2)))


@idiom
def graphdef_as_static_argument(nnx):
    """A GraphDef is a static argument of `jax.jit`."""
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    run = jax.jit(lambda g, s, x: nnx.merge(g, s)(x), static_argnums=0)
    return run(graphdef, state, jnp.ones((1, 2)))


@idiom
def gradient_of_the_functional_form(nnx):
    """`jax.grad` over a State."""
    graphdef, params, rest = nnx.split(make_block(nnx), nnx.Param, ...)

    def loss(params):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return model(jnp.arange(8.0).reshape(4, 2)).sum()

    return nnx.to_pure_dict(jax.grad(loss)(params))


@idiom
def scan_of_the_functional_form(nnx):
    """`jax.lax.scan` over a State that the step writes."""
    graphdef, state = nnx.split(nnx.BatchNorm(2, rngs=nnx.Rngs(0)))

    def step(state, x):
        norm = nnx.merge(graphdef, state)
        y = norm(x)
        return nnx.state(norm), y

    state, ys = jax.lax.scan(step, state, jnp.arange(12.0).reshape(3, 2, 2))
    return ys, nnx.to_pure_dict(state)


@idiom
def vmapped_states(nnx):
    """`jax.vmap` over stacked States."""
    graphdef, _ = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    states = jax.vmap(lambda k: nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(k))))(
        jax.random.split(jax.random.key(0), 3)
    )
    out = jax.vmap(lambda s: nnx.merge(graphdef, s)(jnp.ones((1, 2))))(states)
    return out


@idiom
def deleted_and_merged(nnx):
    """A State without a part merges once the part is put back."""
    graphdef, state = nnx.split(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    bias = state["bias"]
    del state["bias"]
    state["bias"] = bias
    return nnx.merge(graphdef, state).bias.value


@idiom
def structure_with_static_values(nnx):
    """Static values are part of the GraphDef."""
    a, b = nnx.Dict(n=1, w=nnx.Param(1.0)), nnx.Dict(n=2, w=nnx.Param(1.0))
    return nnx.graphdef(a) == nnx.graphdef(b)
