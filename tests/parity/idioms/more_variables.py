"""Variables and State in detail: methods, hooks, registries, operators, errors."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity.idioms.metadata import with_hook_methods
from tests.parity.table import Table

TABLE = Table("more_variables")
A = jnp.arange(6.0).reshape(2, 3)


def param(nnx, **meta):
    return nnx.Param(A, **meta)


MODES = {"eager_sharding", "hijax", "ref"}  # the flags that flax keeps there


def own(variable):
    return sorted(variable.get_metadata().keys() - MODES)


def state(nnx):
    return nnx.State({"a": nnx.Param(A), "b": {"c": nnx.BatchStat(A[0]), "d": {}}})


def hooked(nnx, seen):
    def log(name):
        def hook(variable, value):
            seen.append((name, jnp.shape(value)))
            return value * 2

        return hook

    return nnx.Variable(
        jnp.ones(2),
        on_get_value=log("get"),
        on_set_value=log("set"),
        on_create_value=log("create"),
    )


def hooks_log(nnx):
    seen = []
    v = hooked(nnx, seen)
    got = v.get_value(), v.get_raw_value()
    v.set_value(jnp.ones(3))
    v.value = jnp.ones(4)
    v[...] = jnp.zeros(4)
    v.set_raw_value(jnp.ones(5))
    return seen, got, v.get_raw_value()


def hooks_of_copies(nnx):
    seen = []
    v = hooked(nnx, seen)
    n = len(seen)
    others = v.copy(), v.replace(jnp.ones(1)), nnx.clone(v)
    w = nnx.Variable(jnp.zeros(2))
    w.copy_from(v)
    w.update_from_state(v)
    return seen[n:], [o.get_raw_value() for o in others], w.get_raw_value()


def hooks_in_index(nnx):
    seen = []
    v = hooked(nnx, seen)
    got = v[0]
    v[0] = 5.0
    return got, v.get_raw_value(), seen


def hooks_class(nnx):
    v = with_hook_methods(nnx.Variable)(jnp.ones(2))
    got = v.get_value(), v.get_raw_value()
    v.set_value(jnp.ones(2))
    return got, v.get_raw_value(), v + 0


def create_value_method(nnx):
    class Own(nnx.Variable):
        def create_value(self, value):
            return value * 3

    return Own(jnp.ones(2)).get_raw_value()


def hooks_list(nnx):
    twice = lambda v, x: x * 2  # noqa: E731
    return nnx.Variable(jnp.ones(2), on_set_value=[twice, twice]).get_raw_value()


def own_get_and_set(nnx):
    class Scaled(nnx.Variable):
        def get_value(self, **kwargs):
            return super().get_value(**kwargs) * 10

        def set_value(self, value, **kwargs):
            return super().set_value(value + 1, **kwargs)

    v = Scaled(jnp.ones(2))
    got = v.get_value(), v.value, v[...], v[0], v + 0, jnp.sin(v), len(v)
    v.value = jnp.zeros(2)
    first = v.get_raw_value()
    v[...] = jnp.zeros(2)
    second = v.get_raw_value()
    v[0] = 5.0
    return got, first, second, v.get_raw_value(), v == v, list(v)


def methods_of_an_own_value(nnx):
    class Scaled(nnx.Variable):
        def get_value(self, **kwargs):
            return super().get_value(**kwargs) * 10

    v = Scaled(jnp.ones(2))
    return v.sum(), v[...].sum()


def own_get_in_transforms(nnx):
    class Scaled(nnx.Param):
        def get_value(self, **kwargs):
            return super().get_value(**kwargs) * 10

    m = nnx.Dict(w=Scaled(jnp.ones(2)))
    out = nnx.jit(lambda m: m.w + 1)(m)
    grads = nnx.grad(lambda m: (m.w[...] ** 2).sum())(m)
    mapped = nnx.vmap(lambda m: m.w * 2)(m)
    state = nnx.state(m)
    return (
        out,
        grads["w"].get_raw_value(),
        mapped,
        nnx.to_pure_dict(state),
        nnx.as_pure(state)["w"],
    )


def subclass_with_metadata(nnx):
    class Tagged(nnx.Param):
        pass

    v = Tagged(A, tag="x")
    return v.tag, type(v.replace(tag="y")).__name__, v.replace(tag="y").tag


def error_of(call):
    try:
        return call()
    except Exception as error:
        return error


def registry(nnx):
    class Own(nnx.Variable):
        pass

    nnx.register_variable_name("own_kind", Own, overwrite=True)
    return nnx.variable_type_from_name(
        "own_kind"
    ).__name__, nnx.variable_name_from_type(Own)


def registry_decorator(nnx):
    @nnx.register_variable_name("decorated_kind", overwrite=True)
    class Own(nnx.Variable):
        pass

    return nnx.variable_name_from_type(Own), nnx.variable_type_from_name(
        "decorated_kind"
    ).__name__


def registry_new_type(nnx):
    class BrandNewKind(nnx.Variable):
        pass

    return nnx.variable_name_from_type(BrandNewKind, allow_register=True)


def registry_new_name(nnx):
    kind = nnx.variable_type_from_name(
        "brand_new_name", base=nnx.Param, allow_register=True
    )
    return kind.__name__, issubclass(kind, nnx.Param)


def registry_conflict(nnx):
    class A1(nnx.Variable):
        pass

    class A2(nnx.Variable):
        pass

    nnx.register_variable_name("twice_kind", A1, overwrite=True)
    nnx.register_variable_name("twice_kind", A2)


def unregistered_type(nnx):
    class Unknown(nnx.Variable):
        pass

    nnx.variable_name_from_type(Unknown)


VARIABLES = {
    "get_metadata_all": lambda nnx: own(param(nnx, x=1)),
    "get_metadata_one": lambda nnx: param(nnx, x=1).get_metadata("x"),
    "get_metadata_default": lambda nnx: param(nnx).get_metadata("x", 7),
    "get_metadata_missing": lambda nnx: param(nnx).get_metadata("x"),
    "has_metadata": lambda nnx: (
        param(nnx, x=None).has_metadata("x"),
        param(nnx).has_metadata("x"),
    ),
    "set_metadata_pair": lambda nnx: [
        v.set_metadata("x", 3) or v.x for v in [param(nnx)]
    ],
    "set_metadata_dict": lambda nnx: [
        v.set_metadata({"y": 3}) or own(v) for v in [param(nnx, x=1)]
    ],
    "set_metadata_nothing": lambda nnx: param(nnx).set_metadata(),
    "set_metadata_three": lambda nnx: param(nnx).set_metadata("a", 1, 2),
    "set_metadata_both": lambda nnx: param(nnx).set_metadata("a", b=2),
    "del_metadata": lambda nnx: [
        v.del_metadata("x") or v.has_metadata("x") for v in [param(nnx, x=1)]
    ],
    "del_metadata_missing": lambda nnx: param(nnx).del_metadata("x"),
    "missing_attribute": lambda nnx: param(nnx).nothing,
    "set_attribute": lambda nnx: setattr(param(nnx), "x", 1),
    "set_shape": lambda nnx: setattr(param(nnx), "shape", (1,)),
    "metadata_as_attribute": lambda nnx: param(nnx, x=5).x,
    "metadata_named_like_a_method": lambda nnx: param(nnx, copy=5).copy,
    "array_attributes": lambda nnx: (
        param(nnx).shape,
        param(nnx).dtype,
        param(nnx).ndim,
        param(nnx).size,
        param(nnx).T,
        param(nnx).nbytes,
        param(nnx).itemsize,
        param(nnx).sum(),
        param(nnx).at[0].set(1.0),
        param(nnx).reshape(3, 2),
        param(nnx).astype(int),
        param(nnx).weak_type,
    ),
    "copy_from": lambda nnx: [
        v.copy_from(nnx.Param(A * 2, x=1)) or (v.get_value(), v.get_metadata("x"))
        for v in [param(nnx)]
    ],
    "copy_from_itself": lambda nnx: [v.copy_from(v) or v.shape for v in [param(nnx)]],
    "copy_from_other_type": lambda nnx: param(nnx).copy_from(nnx.BatchStat(A)),
    "copy_from_array": lambda nnx: param(nnx).copy_from(A),
    "update_from_state": lambda nnx: [
        v.update_from_state(nnx.Param(A * 2, x=1)) or (v.get_value(), v.x)
        for v in [param(nnx, y=2)]
    ],
    "update_from_state_metadata": lambda nnx: [
        v.update_from_state(nnx.Param(A * 2, x=1)) or own(v) for v in [param(nnx, y=2)]
    ],
    "to_state": lambda nnx: (
        type(param(nnx, x=1).to_state()).__name__,
        param(nnx, x=1).to_state().x,
    ),
    "replace_value": lambda nnx: param(nnx, x=1).replace(A[0]).shape,
    "replace_value_keyword": lambda nnx: param(nnx, x=1).replace(value=A[0]).shape,
    "replace_metadata": lambda nnx: param(nnx, x=1).replace(y=2).y,
    "replace_by_variable": lambda nnx: param(nnx).replace(nnx.Param(A[0])).shape,
    "replace_by_other_type": lambda nnx: (
        type(param(nnx).replace(nnx.BatchStat(A[0]))).__name__
    ),
    "copy_updates": lambda nnx: param(nnx, x=1).copy(x=2).x,
    "copy_value": lambda nnx: param(nnx, x=1).copy(A[0]).shape,
    "variable_of_variable": lambda nnx: (
        type(nnx.Param(nnx.BatchStat(A, x=1))).__name__,
        nnx.Param(nnx.BatchStat(A, x=1)).has_metadata("x"),
    ),
    "variable_of_nothing": lambda nnx: nnx.Param(),
    "variable_of_none": lambda nnx: nnx.Param(None).get_value(),
    "variable_of_a_list": lambda nnx: nnx.Param([1, 2]).get_value(),
    "variable_of_a_dict": lambda nnx: nnx.Param({"a": A}).get_value(),
    "variable_of_a_number": lambda nnx: nnx.Param(3).get_value(),
    "variable_of_numpy": lambda nnx: (
        type(nnx.Param(np.ones(2)).get_value()).__name__ != ""
    ),
    "index_none": lambda nnx: param(nnx)[None].shape,
    "index_array": lambda nnx: param(nnx)[jnp.array([1, 0])],
    "index_bool": lambda nnx: param(nnx)[jnp.array([True, False])],
    "set_index": lambda nnx: [
        v.__setitem__((0, slice(None)), 1.0) or v.get_value() for v in [param(nnx)]
    ],
    "set_index_of_a_dict": lambda nnx: [
        v.__setitem__("a", A * 2) or v.get_value() for v in [nnx.Param({"a": A})]
    ],
    "set_value_index": lambda nnx: [
        v.set_value(1.0, index=0) or v.get_value() for v in [param(nnx)]
    ],
    "get_value_index": lambda nnx: param(nnx).get_value(index=0),
    "length": lambda nnx: len(param(nnx)),
    "length_of_a_scalar": lambda nnx: len(nnx.Param(1.0)),
    "iterate": lambda nnx: [x for x in param(nnx)],
    "iterate_over_a_scalar": lambda nnx: list(nnx.Param(jnp.array(1.0))),
    "contains": lambda nnx: 3.0 in param(nnx),
    "float": lambda nnx: float(nnx.Param(jnp.array(2.5))),
    "int": lambda nnx: int(nnx.Param(jnp.array(2))),
    "float_of_an_array": lambda nnx: float(param(nnx)),
    "index_protocol": lambda nnx: [1, 2, 3][nnx.Param(jnp.array(1))],
    "complex": lambda nnx: complex(nnx.Param(jnp.array(2.0))),
    "round": lambda nnx: round(nnx.Param(jnp.array(2.567)), 1),
    "abs_neg_pos_invert": lambda nnx: (
        abs(param(nnx)),
        -param(nnx),
        +param(nnx),
        ~nnx.Variable(jnp.array([True])),
    ),
    "right_operators": lambda nnx: (
        1 + param(nnx),
        1 - param(nnx),
        2 * param(nnx),
        1 / (param(nnx) + 1),
        2 ** param(nnx),
        7 // (param(nnx) + 1),
        7 % (param(nnx) + 1),
        A.T @ param(nnx),
    ),
    "bit_operators": lambda nnx: (
        nnx.Variable(jnp.array(6)) & 3,
        6 | nnx.Variable(jnp.array(1)),
        nnx.Variable(jnp.array(6)) ^ 3,
        nnx.Variable(jnp.array(1)) << 3,
        nnx.Variable(jnp.array(8)) >> 1,
    ),
    "variables_together": lambda nnx: param(nnx) * param(nnx) - param(nnx),
    "numpy_function": lambda nnx: np.sin(param(nnx)),
    "jnp_function": lambda nnx: jnp.concatenate([param(nnx), param(nnx)]),
    "numpy_asarray": lambda nnx: np.asarray(param(nnx), dtype=np.float64).dtype,
    "equal_to_an_array": lambda nnx: param(nnx) == A,
    "equal_to_itself": lambda nnx: [v == v for v in [param(nnx)]],
    "hash": lambda nnx: isinstance(hash(param(nnx)), int),
    "pickle": lambda nnx: pickle.loads(pickle.dumps(param(nnx, x=1))).x,
    "copy": lambda nnx: copy.copy(param(nnx, x=1)).x,
    "dir_has_methods": lambda nnx: (
        {"get_value", "set_value", "replace"} <= set(dir(param(nnx)))
    ),
    "hooks_log": hooks_log,
    "hooks_of_copies": hooks_of_copies,
    "hooks_in_index": hooks_in_index,
    "hooks_class": hooks_class,
    "hooks_list": hooks_list,
    "own_get_and_set": own_get_and_set,
    "own_get_in_transforms": own_get_in_transforms,
    "create_value_method": create_value_method,
    "subclass_with_metadata": subclass_with_metadata,
    "with_metadata_hooks": lambda nnx: nnx.Param(
        nnx.with_metadata(
            nnx.initializers.ones_init(), on_set_value=lambda v, x: x * 3
        )(jax.random.key(0), (2,))
    ).get_raw_value(),
    "variable_metadata_object": lambda nnx: (
        nnx.Param(nnx.VariableMetadata(A, metadata={"x": 2})).x
    ),
    "variable_metadata_conflict": lambda nnx: (
        nnx.Param(nnx.VariableMetadata(A, metadata={"x": 2}), x=3).x
    ),
    "registry": registry,
    "registry_decorator": registry_decorator,
    "registry_new_type": registry_new_type,
    "registry_new_name": registry_new_name,
    "registry_conflict": registry_conflict,
    "unregistered_type": unregistered_type,
    "unregistered_name": lambda nnx: nnx.variable_type_from_name("no_such_kind"),
    "known_names": lambda nnx: [
        nnx.variable_name_from_type(t)
        for t in (nnx.Param, nnx.BatchStat, nnx.Cache, nnx.Intermediate)
    ],
    "known_types": lambda nnx: [
        nnx.variable_type_from_name(n).__name__
        for n in ("params", "batch_stats", "cache", "intermediates")
    ],
    "rng_names": lambda nnx: [
        error_of(lambda t=t: nnx.variable_name_from_type(t))
        for t in (nnx.RngKey, nnx.RngCount, nnx.RngState, nnx.Perturbation)
    ],
    "in_place_operators": lambda nnx: [
        type(error_of(lambda n=n: getattr(param(nnx), n)(1.0)))
        in (NotImplementedError, AttributeError)
        for n in ("__iadd__", "__isub__", "__imul__", "__ipow__")
    ],
    "sharding_property": lambda nnx: error_of(lambda: param(nnx).sharding is not None),
    "type_property": lambda nnx: (
        (param(nnx).type.__name__, nnx.Param(A).var_type) and param(nnx).type.__name__
    ),
}

STATES = {
    "items": lambda nnx: [k for k, _ in state(nnx).items()],
    "keys_values": lambda nnx: (
        list(state(nnx).keys()),
        len(list(state(nnx).values())),
    ),
    "length": lambda nnx: (len(state(nnx)), len(nnx.State({}))),
    "iterate": lambda nnx: list(state(nnx)),
    "contains": lambda nnx: ("a" in state(nnx), "z" in state(nnx), "c" in state(nnx)),
    "get": lambda nnx: (state(nnx).get("z"), state(nnx).get("z", 3)),
    "get_missing": lambda nnx: state(nnx)["z"],
    "attribute_missing": lambda nnx: state(nnx).z,
    "attribute": lambda nnx: state(nnx).b.c.get_value(),
    "set_item": lambda nnx: [
        s.__setitem__("z", nnx.Param(1.0)) or list(s) for s in [state(nnx)]
    ],
    "set_attribute": lambda nnx: [
        setattr(s, "z", nnx.Param(1.0)) or list(s) for s in [state(nnx)]
    ],
    "set_dict": lambda nnx: [
        s.__setitem__("z", {"y": nnx.Param(1.0)}) or (type(s["z"]).__name__, s.z.y + 0)
        for s in [state(nnx)]
    ],
    "delete_item": lambda nnx: [s.__delitem__("a") or list(s) for s in [state(nnx)]],
    "delete_missing": lambda nnx: state(nnx).__delitem__("z"),
    "pop_item": lambda nnx: [(s.pop("a").shape, list(s)) for s in [state(nnx)]],
    "pop_missing": lambda nnx: (state(nnx).pop("z", 3), state(nnx).pop("z")),
    "setdefault": lambda nnx: [(s.setdefault("z", 3), s["z"]) for s in [state(nnx)]],
    "update_method": lambda nnx: [
        s.update({"z": nnx.Param(2.0)}) or sorted(s) for s in [state(nnx)]
    ],
    "equal": lambda nnx: (
        nnx.State({"a": 1}) == nnx.State({"a": 1}),
        nnx.State({"a": 1}) == nnx.State({"a": 2}),
        nnx.State({"a": 1}) == {"a": 1},
    ),
    "or": lambda nnx: sorted(nnx.State({"a": 1}) | nnx.State({"b": 2})),
    "or_dict": lambda nnx: sorted(nnx.State({"a": 1}) | {"b": 2}),
    "or_nested": lambda nnx: (
        nnx.State({"a": {"x": 1}}) | nnx.State({"a": {"y": 2}})
    ).to_pure_dict(),
    "minus": lambda nnx: (
        nnx.State({"a": 1, "b": 2}) - nnx.State({"a": 5})
    ).to_pure_dict(),
    "init_of_pairs": lambda nnx: nnx.State([("a", 1), ("b", 2)]).to_pure_dict(),
    "init_of_state": lambda nnx: nnx.State(state(nnx))["a"].shape,
    "raw_mapping": lambda nnx: sorted(state(nnx).raw_mapping),
    "flat_state_method": lambda nnx: state(nnx).flat_state().paths,
    "from_flat_path": lambda nnx: nnx.State.from_flat_path(
        {("a", "b"): 1, ("c",): 2}
    ).to_pure_dict(),
    "filter": lambda nnx: nnx.to_flat_state(state(nnx).filter(nnx.Param)).paths,
    "filter_two": lambda nnx: [
        nnx.to_flat_state(s).paths for s in state(nnx).filter(nnx.Param, nnx.BatchStat)
    ],
    "filter_nothing": lambda nnx: len(state(nnx).filter(nnx.Cache)),
    "filter_no_filters": lambda nnx: state(nnx).filter(),
    "split": lambda nnx: [
        nnx.to_flat_state(s).paths for s in state(nnx).split(nnx.Param, ...)
    ],
    "split_one": lambda nnx: nnx.to_flat_state(state(nnx).split(...)).paths,
    "split_rest": lambda nnx: state(nnx).split(nnx.Param),
    "split_no_filters": lambda nnx: type(state(nnx).split()).__name__,
    "split_ellipsis_first": lambda nnx: state(nnx).split(..., nnx.Param),
    "merge": lambda nnx: sorted(
        nnx.State.merge(nnx.State({"a": 1}), nnx.State({"b": 2}))
    ),
    "merge_overlap": lambda nnx: nnx.merge_state(
        nnx.State({"a": 1}), nnx.State({"a": 2})
    ).to_pure_dict(),
    "merge_dicts": lambda nnx: nnx.merge_state({"a": 1}, {"b": {"c": 2}}),
    "merge_one": lambda nnx: nnx.merge_state(nnx.State({"a": 1})).to_pure_dict(),
    "replace_by_pure_dict": lambda nnx: [
        s.replace_by_pure_dict({"a": A * 2, "b": {"c": A[1]}})
        or (s.a.get_value(), s.b.c.get_value())
        for s in [state(nnx)]
    ],
    "replace_by_pure_dict_part": lambda nnx: [
        s.replace_by_pure_dict({"a": A * 2}) or s.a.get_value() for s in [state(nnx)]
    ],
    "replace_by_pure_dict_unknown": lambda nnx: state(nnx).replace_by_pure_dict(
        {"z": A}
    ),
    "replace_by_pure_dict_fn": lambda nnx: [
        nnx.replace_by_pure_dict(s, {"a": A}, lambda old, new: old.replace(new + 1))
        or s["a"].get_value()
        for s in [state(nnx)]
    ],
    "replace_by_pure_dict_strings": lambda nnx: [
        nnx.replace_by_pure_dict(s, {"0": A[0]}) or s[0].get_value()
        for s in [nnx.State({0: nnx.Param(A)})]
    ],
    "to_pure_dict_fn": lambda nnx: nnx.to_pure_dict(
        state(nnx), lambda x: x.get_value().shape
    ),
    "restore_int_paths": lambda nnx: nnx.restore_int_paths(
        {"layers": {"0": {"w": 1}, "10": 2}, "x1": 3}
    ),
    "flat_state": lambda nnx: [
        (f.paths, len(f), [p for p, _ in f], len(f.leaves))
        for f in [nnx.to_flat_state(state(nnx))]
    ],
    "flat_state_index": lambda nnx: nnx.to_flat_state(state(nnx))[0][0],
    "flat_state_split": lambda nnx: [
        s.paths for s in nnx.to_flat_state(state(nnx)).split(nnx.Param, ...)
    ],
    "flat_state_filter": lambda nnx: (
        nnx.to_flat_state(state(nnx)).filter(nnx.Param).paths
    ),
    "flat_state_merge": lambda nnx: (
        nnx.FlatState.merge(
            nnx.to_flat_state(nnx.State({"a": 1})),
            nnx.to_flat_state(nnx.State({"b": 1})),
        ).paths
    ),
    "flat_state_to_nested": lambda nnx: list(
        nnx.to_flat_state(state(nnx)).to_nested_state()
    ),
    "flat_state_sort": lambda nnx: (
        nnx.FlatState([(("b",), 1), (("a",), 2)], sort=True).paths
    ),
    "flat_state_unsorted": lambda nnx: (
        nnx.FlatState([(("b",), 1), (("a",), 2)], sort=False).paths
    ),
    "from_flat_state_pairs": lambda nnx: nnx.from_flat_state(
        [(("a", "b"), 1)]
    ).to_pure_dict(),
    "from_flat_state_cls": lambda nnx: nnx.from_flat_state({("a", "b"): 1}, cls=dict),
    "from_flat_state_conflict": lambda nnx: nnx.from_flat_state(
        {("a",): 1, ("a", "b"): 2}
    ),
    "map_state": lambda nnx: nnx.map_state(
        lambda path, x: path, nnx.State({"a": 1, "b": {"c": 2}})
    ).to_pure_dict(),
    "tree_map": lambda nnx: jax.tree.map(
        lambda x: x * 2, nnx.State({"a": nnx.Param(A)})
    )["a"].get_value(),
    "tree_leaves_order": lambda nnx: jax.tree.leaves(
        nnx.State({"b": 1, "a": 2, "c": {"z": 3, "y": 4}})
    ),
    "tree_paths": lambda nnx: [
        jax.tree_util.keystr(p)
        for p, _ in jax.tree_util.tree_leaves_with_path(state(nnx))
    ],
    "mixed_keys": lambda nnx: nnx.to_flat_state(nnx.State({1: 1, 0: 2, 10: 3})).paths,
    "pickle": lambda nnx: pickle.loads(pickle.dumps(nnx.State({"a": 1})))["a"],
    "deepcopy": lambda nnx: copy.deepcopy(nnx.State({"a": {"b": 1}})).to_pure_dict(),
    "bool": lambda nnx: (bool(nnx.State({})), bool(nnx.State({"a": 1}))),
    "filter_state_function": lambda nnx: (
        nnx.to_flat_state(
            nnx.filter_state(state(nnx), lambda path, x: "c" in path)
        ).paths
    ),
    "split_state_function": lambda nnx: [
        nnx.to_flat_state(s).paths
        for s in nnx.split_state(state(nnx), nnx.BatchStat, ...)
    ],
}

TABLE.add(
    "methods_of_an_overridden_value",
    methods_of_an_own_value,
    "Methods of the array on a Variable that overrides `get_value`.",
    "`v.sum()` is of the value, as `v[...].sum()`; flax takes the stored array",
)
for _name, _program in VARIABLES.items():
    TABLE.add(_name, _program, f"`{_name}` of a Variable.")
for _name, _program in STATES.items():
    TABLE.add(f"state_{_name}", _program, f"`{_name}` of a State.")
