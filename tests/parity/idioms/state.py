"""State and filters: access, selection, merging, flat and pure forms."""

import jax
import jax.numpy as jnp

from tests.parity.models import make_blocks, paths
from tests.parity.table import Table

TABLE = Table("state")
idiom, differs = TABLE.idiom, TABLE.differs


def chosen(*build):
    """The paths of a model that filters select."""

    def program(nnx):
        filters = [make(nnx) for make in build]
        return paths(nnx, nnx.state(make_blocks(nnx), *filters))

    return program


FILTERS = {
    "a_type": ("A Variable type is a filter.", lambda nnx: nnx.Param),
    "a_base_type": ("A base type selects subtypes.", lambda nnx: nnx.Variable),
    "a_string": ("A string is a tag.", lambda nnx: "blocks"),
    "ellipsis": ("`...` selects all.", lambda nnx: ...),
    "true": ("`True` selects all.", lambda nnx: True),
    "false": ("`False` selects nothing.", lambda nnx: False),
    "none": ("`None` selects nothing.", lambda nnx: None),
    "a_tuple": (
        "A tuple is a union.",
        lambda nnx: (nnx.BatchStat, nnx.PathContains("head")),
    ),
    "a_list": (
        "A list is a union.",
        lambda nnx: [nnx.BatchStat, nnx.PathContains("head")],
    ),
    "path_contains": ("`PathContains` by name.", lambda nnx: nnx.PathContains("bias")),
    "path_contains_index": (
        "`PathContains` by index.",
        lambda nnx: nnx.PathContains(1),
    ),
    "path_contains_part": (
        "`PathContains(exact=False)` by a part of a name.",
        lambda nnx: nnx.PathContains("ern", exact=False),
    ),
    "of_type": ("`OfType` is the type itself.", lambda nnx: nnx.OfType(nnx.BatchStat)),
    "not_": ("`Not` negates.", lambda nnx: nnx.Not(nnx.Param)),
    "all_": (
        "`All` is an intersection.",
        lambda nnx: nnx.All(nnx.Param, nnx.PathContains("blocks")),
    ),
    "any_": (
        "`Any` is a union.",
        lambda nnx: nnx.Any(nnx.BatchStat, nnx.PathContains("head")),
    ),
    "nested": (
        "Filters nest.",
        lambda nnx: nnx.All(nnx.Param, nnx.Not(nnx.Any(nnx.PathContains("norm"), "x"))),
    ),
    "predicate": (
        "A function of path and value.",
        lambda nnx: lambda path, value: "kernel" in path and 0 in path,
    ),
    "predicate_of_value": (
        "A function that looks at the value's shape.",
        lambda nnx: lambda path, value: value.shape == (2, 2),
    ),
    "everything": ("`Everything()`.", lambda nnx: nnx.Everything()),
    "nothing": ("`Nothing()`.", lambda nnx: nnx.Nothing()),
    "with_tag": ("`WithTag` of no Variable.", lambda nnx: nnx.WithTag("params")),
}
for name, (fact, make) in FILTERS.items():
    TABLE.add(f"filter_{name}", chosen(make), fact)


@idiom
def filter_by_tag(nnx):
    """A string and `WithTag` select by the metadata `tag`."""
    m = nnx.Dict(a=nnx.Param(1.0, tag="x"), b=nnx.Param(2.0, tag="y"))
    return paths(nnx, nnx.state(m, "x")), paths(nnx, nnx.state(m, nnx.WithTag("y")))


@idiom
def filter_of_a_wrong_kind(nnx):
    """What is no filter is refused."""
    nnx.state(make_blocks(nnx), 3.5)


@idiom
def to_predicate(nnx):
    """`nnx.filterlib.to_predicate` makes a function of a filter."""
    predicate = nnx.filterlib.to_predicate(nnx.Param)
    return predicate(("a",), nnx.Param(1.0)), predicate(("a",), nnx.BatchStat(1.0))


@idiom
def several_filters(nnx):
    """`state` with filters gives a state for each."""
    model = make_blocks(nnx)
    return [paths(nnx, s) for s in nnx.state(model, nnx.Param, nnx.BatchStat)]


@idiom
def state_by_attribute_and_key(nnx):
    """A State is read by attribute, key and index."""
    state = nnx.state(make_blocks(nnx))
    return (
        state.head.kernel.value,
        state["blocks"][0]["bias"].value,
        state.blocks[1].bias[...],
    )


@idiom
def state_holds_the_variables(nnx):
    """What is written into a Variable is seen in a State taken before."""
    model = make_blocks(nnx)
    state = nnx.state(model)
    model.head.kernel.value = jnp.zeros((2, 1))
    return state["head"]["kernel"].value


@idiom
def state_of_a_missing_key(nnx):
    """A missing key of a State."""
    return nnx.state(make_blocks(nnx))["no"]


@idiom
def state_of_a_missing_attribute(nnx):
    """A missing attribute of a State."""
    return nnx.state(make_blocks(nnx)).no


@idiom
def state_contains_and_iterates(nnx):
    """`in`, `len`, `keys` and `items` of a State."""
    state = nnx.state(make_blocks(nnx))
    return (
        "head" in state,
        len(state),
        sorted(state.keys()),
        sorted(k for k, _ in state.items()),
    )


@idiom
def state_set_by_key(nnx):
    """Entries of a State are set by key and attribute, and deleted."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    state["extra"] = nnx.Param(jnp.ones(1))
    state.more = nnx.Param(jnp.ones(1))
    del state["bias"]
    return paths(nnx, state)


@idiom
def state_is_a_pytree(nnx):
    """`jax.tree.map` over a State gives a State of Variables."""
    state = jax.tree.map(lambda x: x * 0, nnx.state(make_blocks(nnx), nnx.Param))
    return type(state).__name__, nnx.to_pure_dict(state)


@idiom
def tree_map_of_two_states(nnx):
    """`jax.tree.map` over two States."""
    state = nnx.state(make_blocks(nnx), nnx.Param)
    return nnx.to_pure_dict(jax.tree.map(jnp.add, state, state))


@idiom
def tree_leaves_with_path_of_a_state(nnx):
    """Key paths of a State."""
    flat, _ = jax.tree_util.tree_flatten_with_path(nnx.state(make_blocks(nnx)))
    return [jax.tree_util.keystr(path) for path, _ in flat]


@idiom
def tree_map_with_path_of_a_state(nnx):
    """`jax.tree_util.tree_map_with_path` sees the usual kinds of keys."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    return [[type(key).__name__ for key in path] for path, _ in flat]


@idiom
def state_split(nnx):
    """`State.split` by filters."""
    first, second = nnx.state(make_blocks(nnx)).split(nnx.BatchStat, ...)
    return paths(nnx, first), paths(nnx, second)


@idiom
def state_split_leaves_some(nnx):
    """`State.split` whose filters leave some is refused."""
    nnx.state(make_blocks(nnx)).split(nnx.BatchStat)


@idiom
def state_filter(nnx):
    """`State.filter` gives a part."""
    return paths(nnx, nnx.state(make_blocks(nnx)).filter(nnx.BatchStat))


@idiom
def state_filter_of_two(nnx):
    """`State.filter` by two filters gives two States."""
    state = nnx.state(make_blocks(nnx))
    return [
        paths(nnx, s) for s in state.filter(nnx.BatchStat, nnx.PathContains("head"))
    ]


@idiom
def state_merge_method(nnx):
    """`State.merge` joins States."""
    a, b = nnx.state(make_blocks(nnx), nnx.Param, nnx.BatchStat)
    return paths(nnx, nnx.State.merge(a, b))


@idiom
def merge_state_function(nnx):
    """`nnx.merge_state` joins States, the last one wins."""
    a = nnx.State({"a": nnx.Param(1.0), "b": nnx.Param(2.0)})
    b = nnx.State({"b": nnx.Param(3.0), "c": nnx.Param(4.0)})
    return nnx.to_pure_dict(nnx.merge_state(a, b))


@idiom
def split_and_filter_functions(nnx):
    """`nnx.split_state` and `nnx.filter_state`."""
    state = nnx.state(make_blocks(nnx))
    parts = nnx.split_state(state, nnx.Param, ...)
    return [paths(nnx, s) for s in parts], paths(
        nnx, nnx.filter_state(state, nnx.Param)
    )


@idiom
def or_of_states(nnx):
    """`state | other` joins."""
    a, b = nnx.State({"a": nnx.Param(1.0)}), nnx.State({"b": nnx.Param(3.0)})
    return nnx.to_pure_dict(a | b)


@idiom
def minus_of_states(nnx):
    """`state - other` leaves what the other lacks."""
    state = nnx.state(make_blocks(nnx))
    return paths(nnx, state - nnx.state(make_blocks(nnx), nnx.Param))


@idiom
def state_map_method(nnx):
    """`State.map` sees path and Variable."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    return nnx.to_pure_dict(state.map(lambda path, v: v.replace(jnp.zeros(len(path)))))


@idiom
def map_state_function(nnx):
    """`nnx.map_state` the same."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    return nnx.to_pure_dict(
        nnx.map_state(lambda path, v: v.replace(v.value + 1), state)
    )


@idiom
def flat_state_round_trip(nnx):
    """`to_flat_state` and `from_flat_state`."""
    state = nnx.state(make_blocks(nnx))
    flat = nnx.to_flat_state(state)
    again = nnx.from_flat_state(flat)
    return paths(nnx, again), type(again).__name__, len(flat)


@idiom
def flat_state_order(nnx):
    """The order of a flat state."""
    return [path for path, _ in nnx.to_flat_state(nnx.state(make_blocks(nnx)))]


@idiom
def flat_state_paths_and_leaves(nnx):
    """A FlatState has `paths` and `leaves`."""
    flat = nnx.to_flat_state(nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0))))
    return list(flat.paths), [v.value for v in flat.leaves]


@idiom
def from_flat_dict(nnx):
    """`from_flat_state` takes a dict of paths."""
    return nnx.to_pure_dict(
        nnx.from_flat_state({("a", "b"): nnx.Param(1.0), ("c",): 2})
    )


@idiom
def state_flat_state_method(nnx):
    """`State.flat_state()` and `State.from_flat_path`."""
    flat = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0))).flat_state()
    again = nnx.State.from_flat_path(dict(flat))
    return paths(nnx, again)


@idiom
def pure_dict(nnx):
    """`to_pure_dict` gives nested dicts of arrays."""
    return nnx.to_pure_dict(nnx.state(make_blocks(nnx)))


@idiom
def pure_dict_with_extract(nnx):
    """`to_pure_dict` takes a function for the leaves."""
    state = nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    return nnx.to_pure_dict(state, lambda v: v.value.shape)


@idiom
def restore_int_paths(nnx):
    """`restore_int_paths` makes numbers of digit strings."""
    restored = nnx.restore_int_paths({"layers": {"0": 1, "10": 2}, "a": {"b": 3}})
    return sorted(restored["layers"]), restored


@idiom
def state_from_a_dict(nnx):
    """A State is made of nested dicts."""
    state = nnx.State({"a": {"b": nnx.Param(jnp.ones(2))}, "c": jnp.zeros(1)})
    return paths(nnx, state), state.a.b.value, state["c"], type(state["a"]).__name__


@idiom
def state_equality(nnx):
    """States compare by what they hold."""
    return nnx.State({"a": 1}) == nnx.State({"a": 1}), nnx.State({"a": 1}) == nnx.State(
        {}
    )


@idiom
def state_raw_mapping(nnx):
    """`raw_mapping` is the dict below."""
    return sorted(nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0))).raw_mapping)


@idiom
def variables_function(nnx):
    """`nnx.variables` is `nnx.state` of Variables."""
    return paths(nnx, nnx.variables(make_blocks(nnx), nnx.Param))


@differs(
    "a lone Variable has no path: TypeError that says so, where flax has IndexError"
)
def state_of_a_variable(nnx):
    """`nnx.state` of a lone Variable."""
    return nnx.state(nnx.Param(jnp.ones(2))).value


@idiom
def state_of_containers(nnx):
    """`nnx.state` of plain dicts and lists of models."""
    state = nnx.state({"a": nnx.Linear(1, 1, rngs=nnx.Rngs(0)), "b": [nnx.Param(1.0)]})
    return paths(nnx, state)


@idiom
def traversals(nnx):
    """`nnx.traversals` flattens and unflattens dicts."""
    flat = nnx.traversals.flatten_mapping({"a": {"b": 1}, "c": 2})
    joined = nnx.traversals.flatten_mapping({"a": {"b": 1}}, sep="/")
    return flat, joined, nnx.traversals.unflatten_mapping(flat)
