"""Graph verbs in detail: split, merge, update, pop, clone, map, walks, views, paths."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.table import Table

TABLE = Table("more_graph")
A = jnp.arange(6.0).reshape(2, 3)


def linear(nnx):
    return nnx.Linear(2, 3, rngs=nnx.Rngs(0))


def block(nnx):
    class Block(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.fc = nnx.Linear(2, 2, rngs=rngs)
            self.bn = nnx.BatchNorm(2, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
            self.count = nnx.Variable(jnp.array(0))
            self.size = 3
            self.name = "block"
            self.none = None

        def __call__(self, x):
            return self.drop(self.bn(self.fc(x)))

        def other(self, x):
            return self.fc(x) * 2

    return Block()


def tied(nnx):
    class Tied(nnx.Module):
        def __init__(self):
            self.a = nnx.Param(A)
            self.b = self.a
            self.l1 = linear(nnx)
            self.l2 = self.l1

    return Tied()


def cyclic(nnx):
    class Child(nnx.Module):
        def __init__(self, parent):
            self.w = nnx.Param(A)
            self.parent = nnx.data(parent)

    class Parent(nnx.Module):
        def __init__(self):
            self.child = Child(self)

    return Parent()


def paths(nnx, state):
    return nnx.to_flat_state(state).paths


def bare(nnx):
    class Bare(nnx.Module):
        def __init__(self):
            self.x = A
            self.n = nnx.Param(A)
            self.np = np.ones(2, np.float32)
            self.k = jax.random.key(0)

    return Bare()


def names(nnx, iterator):
    return [(".".join(map(str, p)), type(x).__name__) for p, x in iterator]


def own_names(nnx, iterator):
    """Modules and Variables of a walk; of static values flax gives each once."""
    return [
        (".".join(map(str, p)), type(x).__name__)
        for p, x in iterator
        if isinstance(x, nnx.Module | nnx.Variable | nnx.List)
    ]


def with_attribute(model, name, value):
    setattr(model, name, value)
    return model


def then(thing, *calls):
    return [call(thing) for call in calls]


def fields_of_a_dataclass(nnx):
    @nnx.dataclass
    class Config(nnx.Pytree):
        w: nnx.Param  # pyright: ignore[reportInvalidTypeForm]
        n: int = nnx.static(default=3)
        x: jax.Array = nnx.data(default_factory=lambda: A)

    c = Config(nnx.Param(A))
    return (
        [f.name for f in dataclasses.fields(c)],
        [x.shape for x in jax.tree.leaves(c)],
        dataclasses.replace(c, n=4).n,
        nnx.merge(*nnx.split(c)).n,
    )


def merge_after_changes(nnx):
    graphdef, state = nnx.split(linear(nnx))
    state["kernel"] = state["kernel"].replace(A * 2)
    return nnx.merge(graphdef, state).kernel.get_value()


def merge_pure(nnx):
    graphdef, state = nnx.split(linear(nnx))
    return nnx.merge(graphdef, nnx.to_pure_dict(state)).kernel.get_value()


def merge_error(nnx, change):
    graphdef, state = nnx.split(linear(nnx))
    return nnx.merge(graphdef, change(state))


def without(state, key):
    del state[key]
    return state


def extra(state, key, value):
    state[key] = value
    return state


def update_static(nnx):
    m, other = block(nnx), block(nnx)
    other.size = 7
    nnx.update(m, nnx.state(other))
    return m.size


def update_two(nnx):
    m = block(nnx)
    params, rest = nnx.state(m, nnx.Param, ...)
    params = jax.tree.map(jnp.ones_like, params)
    rest = jax.tree.map(lambda x: x, rest)
    nnx.update(m, params, rest)
    return m.fc.kernel.get_value(), m.count.get_value()


def update_tied(nnx):
    m = tied(nnx)
    nnx.update(m, {"a": A * 2})
    first = m.b.get_value()
    nnx.update(m, {"b": A * 3})
    return first, m.a.get_value()


def clone_tied(nnx):
    m = nnx.clone(tied(nnx))
    return m.a is m.b, m.l1 is m.l2


def clone_variables(nnx):
    m = linear(nnx)
    n = nnx.clone(m, variables=False)
    o = nnx.clone(m)
    return n.kernel is m.kernel, o.kernel is m.kernel, n is m


def clone_cyclic(nnx):
    m = nnx.clone(cyclic(nnx))
    return m.child.parent is m


def map_values(nnx):
    m = linear(nnx)
    n = nnx.map(lambda path, v: v.replace(v.get_value() * 0), m)
    return n.kernel.get_value(), type(n).__name__, n is m


def recursive_map_nodes(nnx):
    def change(path, node):
        if isinstance(node, nnx.Linear):
            return nnx.Dict(path=".".join(map(str, path)), was=node)
        return node

    m = nnx.recursive_map(change, block(nnx))
    return m.fc["path"], m.layers[1]["path"], type(m.fc["was"]).__name__


def pop_twice(nnx):
    m = with_attribute(block(nnx), "i", nnx.Intermediate(A))
    first = paths(nnx, nnx.pop(m, nnx.Intermediate))
    return first, paths(nnx, nnx.pop(m, nnx.Intermediate)), hasattr(m, "i")


def pop_several(nnx):
    m = block(nnx)
    parts = nnx.pop(m, nnx.BatchStat, nnx.RngState)
    return [paths(nnx, p) for p in parts]


def pop_of_a_list(nnx):
    m = nnx.Dict(items=nnx.List([nnx.Param(A), nnx.BatchStat(A)]))
    popped = nnx.pop(m, nnx.BatchStat)
    return paths(nnx, popped), len(m["items"])


def view_modes(nnx):
    m = block(nnx)
    v = nnx.view(m, deterministic=True, use_running_average=True)
    return (
        v.drop.deterministic,
        m.drop.deterministic,
        v.bn.use_running_average,
        v.fc.kernel is m.fc.kernel,
        v.count is m.count,
    )


def view_filter(nnx):
    m = block(nnx)
    v = nnx.view(m, only=nnx.Dropout, deterministic=True)
    return v.drop.deterministic, m.drop.deterministic


def set_mode_own(nnx):
    class Own(nnx.Module):
        def __init__(self):
            self.flag = False

        def set_view(self, flag=None, **kwargs):
            """Flags of this class.

            Args:
              flag: whether to.
            """
            if flag is not None:
                self.flag = flag
            return kwargs

    m = nnx.Dict(a=Own(), b=Own())
    return nnx.view(m, flag=True)["a"].flag, "flag" in nnx.view_info(m)


def set_attributes_of(nnx):
    m = block(nnx)
    m.set_attributes(nnx.Dropout, deterministic=True)
    first = m.drop.deterministic
    m.set_attributes("fc", use_bias=False)
    return first, m.fc.use_bias, m.layers[0].use_bias


def with_attributes_of(nnx):
    m = block(nnx)
    n = nnx.with_attributes(m, deterministic=True)
    return n.drop.deterministic, m.drop.deterministic, n.fc.kernel is m.fc.kernel


def train_eval(nnx):
    m = block(nnx)
    m.eval()
    first = m.drop.deterministic, m.bn.use_running_average
    m.train()
    return first, (m.drop.deterministic, m.bn.use_running_average)


def train_eval_attributes(nnx):
    m = block(nnx)
    m.eval(size=7)
    return m.size


def sow_kinds(nnx):
    m = nnx.Module()
    m.sow(nnx.Intermediate, "a", jnp.ones(1))
    m.sow(nnx.Intermediate, "a", jnp.zeros(1))
    m.sow(nnx.Intermediate, "b", 3, init_fn=lambda: 0, reduce_fn=lambda x, y: x + y)
    m.sow(nnx.Intermediate, "b", 4, init_fn=lambda: 0, reduce_fn=lambda x, y: x + y)
    m.sow("my_kind", "c", 5)
    return (
        m.a.get_value(),
        m.b.get_value(),
        m.c.get_value(),
        type(m.a).__name__,
        m.sow(nnx.Intermediate, "d", 1),
    )


def sow_conflict(nnx):
    m = nnx.Module()
    m.a = nnx.Param(A)
    m.sow(nnx.Intermediate, "a", 1)


def sow_onto_a_number(nnx):
    m = nnx.Module()
    m.a = 3
    m.sow(nnx.Intermediate, "a", 1)


def perturb_kinds(nnx):
    class Own(nnx.Module):
        def __call__(self, x):
            return self.perturb("p", x * 2)

    m = Own()
    out = m(A)
    return out, m.p.get_value(), type(m.p).__name__, m.perturb("p", A)


def perturb_conflict(nnx):
    m = nnx.Module()
    m.p = nnx.Param(A)
    m.perturb("p", A)


def train_flags_missing(nnx):
    nnx.Linear(2, 2, rngs=nnx.Rngs(0)).set_attributes(deterministic=True)


def iterate_tied(nnx):
    return names(nnx, nnx.iter_modules(tied(nnx)))


def data_kinds(nnx):
    return [
        nnx.is_data(x)
        for x in (
            A,
            np.ones(1),
            nnx.Param(A),
            linear(nnx),
            1,
            "a",
            None,
            [],
            [A],
            (A, 1),
            {"a": A},
            jax.ShapeDtypeStruct((1,), float),
            nnx.State({}),
            nnx.Rngs(0),
            np.float32(1.0),
            nnx.List([]),
            nnx.data(3),
            jax.random.key(0),
        )
    ]


PROGRAMS = {
    "split_nothing": lambda nnx: paths(nnx, nnx.split(linear(nnx))[1]),
    "split_filters": lambda nnx: [
        paths(nnx, s) for s in nnx.split(block(nnx), nnx.Param, nnx.BatchStat, ...)[1:]
    ],
    "split_not_exhaustive": lambda nnx: nnx.split(block(nnx), nnx.Param),
    "split_ellipsis_first": lambda nnx: nnx.split(block(nnx), ..., nnx.Param),
    "split_bad_filter": lambda nnx: nnx.split(block(nnx), 3.5),
    "split_string_filter": lambda nnx: [
        paths(nnx, s) for s in nnx.split(block(nnx), "kernel", ...)[1:]
    ],
    "split_list_filter": lambda nnx: [
        paths(nnx, s)
        for s in nnx.split(block(nnx), [nnx.BatchStat, nnx.RngState], ...)[1:]
    ],
    "split_bool_filters": lambda nnx: [
        paths(nnx, s) for s in nnx.split(linear(nnx), False, True)[1:]
    ],
    "split_none_filter": lambda nnx: [
        paths(nnx, s) for s in nnx.split(linear(nnx), None, ...)[1:]
    ],
    "split_callable": lambda nnx: [
        paths(nnx, s) for s in nnx.split(block(nnx), lambda p, v: v.ndim == 2, ...)[1:]
    ],
    "split_combined": lambda nnx: [
        paths(nnx, s)
        for s in nnx.split(
            block(nnx),
            nnx.All(nnx.Param, nnx.PathContains("layers"), nnx.Not("bias")),
            nnx.Any(nnx.BatchStat, nnx.RngState),
            ...,
        )[1:]
    ],
    "split_tied": lambda nnx: paths(nnx, nnx.split(tied(nnx))[1]),
    "split_cyclic": lambda nnx: paths(nnx, nnx.split(cyclic(nnx))[1]),
    "split_bare": lambda nnx: [
        paths(nnx, s) for s in nnx.split(bare(nnx), nnx.Param, ...)[1:]
    ],
    "split_variable": lambda nnx: (lambda g, s: nnx.merge(g, s).get_value())(
        *nnx.split(nnx.Param(A))
    ),
    "split_of_a_number": lambda nnx: nnx.merge(*nnx.split(3)),
    "split_of_a_string": lambda nnx: nnx.merge(*nnx.split("a")),
    "split_of_none": lambda nnx: nnx.merge(*nnx.split(None)),
    "graphdef_equal": lambda nnx: (
        nnx.graphdef(linear(nnx)) == nnx.graphdef(linear(nnx)),
        hash(nnx.graphdef(linear(nnx))) == hash(nnx.graphdef(linear(nnx))),
        nnx.graphdef(linear(nnx)) == nnx.graphdef(block(nnx)),
    ),
    "graphdef_of_a_variable": lambda nnx: nnx.graphdef(nnx.Param(A)) is not None,
    "merge_after_changes": merge_after_changes,
    "merge_pure": merge_pure,
    "merge_missing": lambda nnx: merge_error(nnx, lambda s: without(s, "kernel")),
    "merge_extra": lambda nnx: merge_error(nnx, lambda s: extra(s, "z", A)),
    "merge_other_shape": lambda nnx: (
        merge_error(
            nnx, lambda s: extra(s, "kernel", s["kernel"].replace(A[0]))
        ).kernel.shape
    ),
    "merge_other_type": lambda nnx: (
        type(
            merge_error(nnx, lambda s: extra(s, "kernel", nnx.BatchStat(A))).kernel
        ).__name__
    ),
    "merge_array_for_variable": lambda nnx: (
        type(merge_error(nnx, lambda s: extra(s, "kernel", A)).kernel).__name__
    ),
    "merge_swapped": lambda nnx: nnx.merge(*nnx.split(linear(nnx))[::-1]),
    "merge_of_none": lambda nnx: nnx.merge(nnx.graphdef(linear(nnx)), None),
    "merge_flat": lambda nnx: (
        nnx.merge(
            nnx.graphdef(linear(nnx)), nnx.to_flat_state(nnx.state(linear(nnx)))
        ).kernel.shape
    ),
    "merge_several": lambda nnx: (
        nnx.merge(*nnx.split(block(nnx), nnx.Param, nnx.BatchStat, ...)).fc.kernel.shape
    ),
    "update_static": update_static,
    "update_two": update_two,
    "update_tied": update_tied,
    "update_nested_for_a_leaf": lambda nnx: nnx.update(
        linear(nnx), {"kernel": {"a": A}}
    ),
    "update_leaf_for_a_node": lambda nnx: nnx.update(block(nnx), {"fc": A}),
    "update_bare": lambda nnx: then(
        bare(nnx), lambda m: nnx.update(m, {"x": A * 2}), lambda m: m.x
    ),
    "update_static_attribute": lambda nnx: nnx.update(block(nnx), {"size": 9}),
    "state_types": lambda nnx: [paths(nnx, nnx.state(block(nnx), nnx.RngState))],
    "state_two_filters": lambda nnx: [
        paths(nnx, s) for s in nnx.state(block(nnx), nnx.BatchStat, nnx.RngCount)
    ],
    "state_of_a_list": lambda nnx: paths(nnx, nnx.state([linear(nnx), linear(nnx)])),
    "state_of_a_dict": lambda nnx: paths(nnx, nnx.state({"a": linear(nnx), "b": A})),
    "variables_of": lambda nnx: paths(nnx, nnx.variables(block(nnx), nnx.Param)),
    "clone_tied": clone_tied,
    "clone_variables": clone_variables,
    "clone_cyclic": clone_cyclic,
    "map_values": map_values,
    "map_of_a_state": lambda nnx: nnx.map(
        lambda path, v: v.get_value().shape, nnx.state(linear(nnx))
    ).to_pure_dict(),
    "recursive_map_nodes": recursive_map_nodes,
    "find_duplicates": lambda nnx: nnx.find_duplicates(tied(nnx)),
    "find_duplicates_only": lambda nnx: nnx.find_duplicates(
        tied(nnx), only=nnx.Variable
    ),
    "find_no_duplicates": lambda nnx: nnx.find_duplicates(block(nnx)),
    "pop_twice": pop_twice,
    "pop_several": pop_several,
    "pop_no_filter": lambda nnx: nnx.pop(block(nnx)),
    "pop_of_a_list": pop_of_a_list,
    "pop_everything": lambda nnx: paths(nnx, nnx.pop(block(nnx), ...)),
    "view_modes": view_modes,
    "view_filter": view_filter,
    "view_unknown": lambda nnx: nnx.view(block(nnx), no_such_flag=True),
    "view_raise_if_not_found": lambda nnx: (
        nnx.view(block(nnx), raise_if_not_found=False, no_such_flag=True).size
    ),
    "view_info": lambda nnx: [
        w in nnx.view_info(block(nnx))
        for w in ("deterministic", "use_running_average", "Dropout", "bool")
    ],
    "view_info_only": lambda nnx: (
        "BatchNorm" in nnx.view_info(block(nnx), only=nnx.Dropout)
    ),
    "set_mode_own": set_mode_own,
    "set_attributes_of": set_attributes_of,
    "set_attributes_missing": train_flags_missing,
    "set_attributes_not_raised": lambda nnx: linear(nnx).set_attributes(
        raise_if_not_found=False, zzz=True
    ),
    "with_attributes_of": with_attributes_of,
    "with_attributes_missing": lambda nnx: nnx.with_attributes(linear(nnx), zzz=True),
    "with_attributes_only": lambda nnx: (
        nnx.with_attributes(
            block(nnx), only=nnx.BatchNorm, use_running_average=True
        ).bn.use_running_average
    ),
    "train_eval": train_eval,
    "train_eval_attributes": train_eval_attributes,
    "sow_kinds": sow_kinds,
    "sow_conflict": sow_conflict,
    "sow_onto_a_number": sow_onto_a_number,
    "perturb_kinds": perturb_kinds,
    "perturb_conflict": perturb_conflict,
    "iter_graph": lambda nnx: own_names(nnx, nnx.iter_graph(block(nnx))),
    "iter_graph_tied": lambda nnx: own_names(nnx, nnx.iter_graph(tied(nnx))),
    "iter_graph_of_containers": lambda nnx: own_names(
        nnx, nnx.iter_graph([linear(nnx), {"a": nnx.Param(A)}, 3])
    ),
    "iter_graph_method": lambda nnx: own_names(nnx, nnx.iter_graph(linear(nnx))),
    "iter_modules": lambda nnx: names(nnx, nnx.iter_modules(block(nnx))),
    "iter_modules_method": lambda nnx: names(nnx, block(nnx).iter_modules()),
    "iter_modules_tied": iterate_tied,
    "iter_children": lambda nnx: names(nnx, nnx.iter_children(block(nnx))),
    "iter_children_method": lambda nnx: names(nnx, block(nnx).iter_children()),
    "iter_children_of_a_number": lambda nnx: list(nnx.iter_children(3)),
    "merge_of_a_state_given_twice": lambda nnx: (
        lambda graphdef, state: nnx.merge(graphdef, state, state)
    )(*nnx.split(linear(nnx))),
    "iter_modules_of_a_list": lambda nnx: names(
        nnx, nnx.iter_modules([linear(nnx), {"a": linear(nnx)}])
    ),
    "data_kinds": data_kinds,
    "check_pytree": lambda nnx: nnx.check_pytree(linear(nnx)),
    "check_pytree_other": lambda nnx: nnx.check_pytree(3),
    "call": lambda nnx: nnx.call(nnx.split(linear(nnx)))(jnp.ones((1, 2)))[0].shape,
    "call_method": lambda nnx: (
        nnx.call(nnx.split(block(nnx))).other(jnp.ones((1, 2)))[0].shape
    ),
    "call_nested": lambda nnx: (
        nnx.call(nnx.split(block(nnx))).layers[0](jnp.ones((1, 2)))[0].shape
    ),
    "flatten": lambda nnx: [
        type(x).__name__ for x in nnx.flatten(linear(nnx))[1].leaves
    ],
    "flatten_without_paths": lambda nnx: len(
        nnx.flatten(linear(nnx), with_paths=False)[1]
    ),
    "unflatten": lambda nnx: nnx.unflatten(*nnx.flatten(linear(nnx))).kernel.shape,
    "fields_of_a_dataclass": fields_of_a_dataclass,
    "data_and_kwargs": lambda nnx: nnx.data(3, default=4),
    "static_and_kwargs": lambda nnx: nnx.static(3, default=4),
    "slots": lambda nnx: type("Own", (nnx.Module,), {"__slots__": ("a",)}),
    "set_metadata_of_a_model": lambda nnx: then(
        linear(nnx), lambda m: nnx.set_metadata(m, x=1), lambda m: m.kernel.x
    ),
    "set_metadata_only": lambda nnx: then(
        linear(nnx),
        lambda m: nnx.set_metadata(m, only="bias", x=1),
        lambda m: (m.kernel.has_metadata("x"), m.bias.has_metadata("x")),
    ),
    "as_pure": lambda nnx: nnx.as_pure(nnx.state(linear(nnx)))["bias"],
    "as_pure_of_a_model": lambda nnx: (
        type(nnx.as_pure(linear(nnx)).bias).__name__ != ""
    ),
    "to_arrays": lambda nnx: nnx.as_abstract(linear(nnx)).kernel.shape,
    "eq_of_modules": lambda nnx: (
        then(linear(nnx), lambda m: m == m)[0] and linear(nnx) != linear(nnx)
    ),
    "hash_of_modules": lambda nnx: isinstance(hash(linear(nnx)), int),
}

REASONS = {
    "update_static_attribute": "configuration is no state, and `update` says so",
    "pop_of_a_list": "a List is one shorter; flax keeps the length without the item",
    "data_kinds": "lists, tuples and dicts that hold data are data here",
}

TABLE.add_programs(PROGRAMS, REASONS)
