"""update and pop: what is written into objects and taken from them."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.models import make_blocks, paths
from tests.parity.table import Table

TABLE = Table("updates")
idiom, differs = TABLE.idiom, TABLE.differs


@idiom
def replace_by_pure_dict(nnx):
    """`replace_by_pure_dict` writes the values of a dict."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    pure = jax.tree.map(jnp.zeros_like, nnx.to_pure_dict(state))
    nnx.replace_by_pure_dict(state, pure)
    return nnx.to_pure_dict(state)


@idiom
def replace_by_pure_dict_method(nnx):
    """`State.replace_by_pure_dict` and `State.to_pure_dict`."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    state.replace_by_pure_dict({"bias": jnp.ones(2), "kernel": jnp.zeros((2, 2))})
    return state.to_pure_dict()


@idiom
def replace_by_part_of_a_dict(nnx):
    """`replace_by_pure_dict` takes a part of the paths."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    nnx.replace_by_pure_dict(state, {"bias": jnp.ones(2)})
    return nnx.to_pure_dict(state)


@idiom
def replace_by_unknown_path(nnx):
    """`replace_by_pure_dict` refuses a path that the state lacks."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    nnx.replace_by_pure_dict(state, {"no": jnp.ones(2)})


@idiom
def replace_by_function(nnx):
    """`replace_by_pure_dict` takes a function of Variable and value."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    nnx.replace_by_pure_dict(
        state, {"bias": jnp.ones(2)}, lambda v, x: v.replace(x * 2)
    )
    return state["bias"].value


@idiom
def update_from_a_state(nnx):
    """`update` with a State writes the model."""
    model, other = make_blocks(nnx), make_blocks(nnx)
    zero = jax.tree.map(jnp.zeros_like, nnx.state(other))
    nnx.update(model, zero)
    return nnx.to_pure_dict(nnx.state(model))


@idiom
def update_from_several_states(nnx):
    """`update` takes several States."""
    model = make_blocks(nnx)
    a, b = nnx.state(make_blocks(nnx), nnx.Param, nnx.BatchStat)
    nnx.update(model, jax.tree.map(jnp.zeros_like, a), jax.tree.map(jnp.ones_like, b))
    return nnx.to_pure_dict(nnx.state(model))


@idiom
def update_from_a_dict_of_arrays(nnx):
    """`update` takes nested dicts of arrays."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.update(layer, {"kernel": jnp.zeros((2, 2)), "bias": jnp.ones(2)})
    return layer.kernel.value, layer.bias.value


@idiom
def update_with_a_part(nnx):
    """`update` with some of the paths leaves the rest."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.update(layer, {"bias": jnp.ones(2)})
    nnx.update(layer, nnx.state(layer, nnx.PathContains("kernel")))
    return layer.kernel.value, layer.bias.value


@idiom
def update_changes_the_dtype(nnx):
    """`update` may cast a model in place."""
    model = make_blocks(nnx)
    nnx.update(model, jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.state(model)))
    return [v.dtype for _, v in nnx.to_flat_state(nnx.state(model))]


@idiom
def update_of_a_cache_shape(nnx):
    """`update` may change the shape of what is no Param."""
    m = nnx.Dict(cache=nnx.Cache(jnp.zeros(2)))
    nnx.update(m, {"cache": jnp.zeros((3, 2))})
    return m.cache.value


@differs("a Param of another shape is nearly always a mistake; `strict=False` takes it")
def update_of_a_param_shape(nnx):
    """`update` with a Param of another shape."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.update(layer, {"bias": jnp.zeros(5)})
    return layer.bias.value


@idiom
def update_adds_a_variable(nnx):
    """`update` adds what is new, where it is a Variable."""
    m = nnx.Dict(a=nnx.Param(1.0))
    nnx.update(m, nnx.State({"b": nnx.Param(2.0)}))
    return m["b"].value


@differs("a plain array for a path that the model lacks is nearly always a mistake")
def update_with_an_unknown_path(nnx):
    """`update` with an array for a path that the model lacks."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.update(layer, {"extra": jnp.zeros(5)})
    return layer.extra


@differs("a number becomes an array where one stood, as compiled steps want")
def update_with_numbers(nnx):
    """`update` takes Python numbers."""
    m = nnx.Dict(a=nnx.Variable(jnp.array(1.0)), n=nnx.Variable(3))
    nnx.update(m, {"a": 2.5, "n": 4})
    return m["a"].value, m["n"].value


@idiom
def update_with_numpy(nnx):
    """`update` takes NumPy arrays."""
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.update(layer, {"bias": np.ones(2, np.float32)})
    return layer.bias + 0


@differs(
    "a lone Variable has no path: TypeError that says so, where flax has IndexError"
)
def update_of_a_variable_alone(nnx):
    """`update` of a lone Variable."""
    v = nnx.Param(jnp.zeros(2))
    nnx.update(v, nnx.state(nnx.Param(jnp.ones(2))))
    return v.value


@idiom
def update_through_a_list(nnx):
    """`update` with integer and string keys for a list."""
    m = nnx.Dict(layers=nnx.List([nnx.Param(0.0), nnx.Param(0.0)]))
    nnx.update(m, {"layers": {1: 5.0}})
    return [v.value for v in m.layers]


@idiom
def update_without_states(nnx):
    """`update` of an empty State."""
    layer = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    nnx.update(layer, nnx.State({}))
    return layer.bias.value


@idiom
def update_of_metadata(nnx):
    """`update` takes the metadata of the State's Variables."""
    m = nnx.Dict(a=nnx.Param(jnp.zeros(2), tag="old"))
    nnx.update(m, nnx.State({"a": nnx.Param(jnp.ones(2), tag="new")}))
    return m["a"].value, m["a"].tag


@idiom
def pop_by_type(nnx):
    """`pop` removes what a filter selects and gives it."""
    model = make_blocks(nnx)
    popped = nnx.pop(model, nnx.BatchStat)
    return paths(nnx, popped), paths(nnx, nnx.state(model))


@idiom
def pop_by_several(nnx):
    """`pop` with several filters gives several States."""
    m = nnx.Dict(a=nnx.Param(1.0), b=nnx.BatchStat(2.0), c=nnx.Cache(3.0))
    popped = nnx.pop(m, nnx.BatchStat, nnx.Cache)
    return [paths(nnx, s) for s in popped], paths(nnx, nnx.state(m))


@idiom
def pop_from_dicts_of_arrays(nnx):
    """`pop` works on nested dicts of arrays, by a predicate."""
    m = {"a": jnp.ones(2), "b": {"c": jnp.zeros(3)}}
    popped = nnx.pop(m, lambda path, x: x.shape == (3,))
    return paths(nnx, popped), sorted(m), sorted(m["b"])


@idiom
def pop_without_filters(nnx):
    """`pop` needs a filter."""
    nnx.pop(make_blocks(nnx))


@idiom
def pop_nothing(nnx):
    """`pop` that selects nothing gives an empty State."""
    return paths(nnx, nnx.pop(make_blocks(nnx), nnx.Cache))
