"""Variables: every method, property, operator, hook and name as in flax.nnx."""

import copy
import math
import operator
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.peer import arange, assert_same, flax_nnx

pytestmark = pytest.mark.peer

TYPES = """
    Variable Param BatchStat Cache Intermediate Perturbation RngState RngKey RngCount
    OptState OptArray OptVariable
"""


def optax_type(nnx, name):
    return getattr(nnx, name, None) or getattr(nnx.optimizer, name)


def made(nnx, *edits, value=None, **metadata):
    variable = nnx.Param(arange(3) if value is None else value, **metadata)
    for edit in edits:
        edit(variable)
    return variable


def item_set(key, value):
    return lambda v: operator.setitem(v, key, value)


def call(name, *args, **kwargs):
    return lambda v: getattr(v, name)(*args, **kwargs)


def attempt(edit):
    def case(nnx):
        variable = made(nnx, note="n", other=1)
        return edit(variable), variable

    return case


def copied(nnx, *args, **kwargs):
    variable = made(nnx, note="n")
    new = variable.copy(*args, **kwargs)
    return new, new is variable, variable


def hooked(nnx, **hooks):
    seen = []
    variable = nnx.Param(arange(2), **{k: hook(seen) for k, hook in hooks.items()})
    variable.set_value(variable.get_value() + 1)
    variable[...] = variable[...] * 2
    return variable, variable.get_value(), variable.get_raw_value(), seen


def scaled(by, name):
    return lambda seen: lambda variable, value: seen.append(name) or value * by


class Hooks:
    """A Variable type with hooks of its own."""

    @staticmethod
    def make(nnx):
        class Hooked(nnx.Variable):
            def on_get_value(self, value):
                return value + 10

            def on_set_value(self, value):
                return value * 2

            def on_create_value(self, value):
                return value - 1

        return Hooked

    @staticmethod
    def axes(nnx):
        class Axes(nnx.Variable):
            def on_add_axis(self, index, name):
                self.set_metadata(added=(index, name))

            def on_remove_axis(self, index, name):
                self.set_metadata(removed=(index, name))

        return Axes


def hooked_type(nnx):
    variable = Hooks.make(nnx)(arange(2))
    first = variable.get_value(), variable.get_raw_value()
    variable.set_value(jnp.ones(2))
    return first, variable.get_value(), variable.get_raw_value()


def axes(nnx):
    variable = Hooks.axes(nnx)(arange(2))
    variable.add_axis(0, "batch")
    variable.remove_axis(1, None)
    return variable.added, variable.removed


def overloaded(nnx):
    class Doubled(nnx.Variable):
        def get_value(self, **kwargs):
            return super().get_value(**kwargs) * 2

        def set_value(self, value, **kwargs):
            super().set_value(value + 1, **kwargs)

    variable = Doubled(arange(2))
    variable.set_value(jnp.zeros(2))
    return variable.get_value(), variable.value, variable[...], variable.get_raw_value()


def described(nnx, **kwargs):
    init = nnx.with_metadata(jax.nn.initializers.ones, **kwargs)
    described = init(jax.random.key(0), (2,), jnp.float32)
    return type(described).__name__, nnx.Param(described, extra=1)


def described_hooks(nnx):
    init = nnx.with_metadata(
        jax.nn.initializers.ones,
        on_get_value=lambda v, x: x + 1,
        on_set_value=[lambda v, x: x * 2, lambda v, x: x * 3],
        on_create_value=lambda v, x: x * 5,
    )
    variable = nnx.Param(init(jax.random.key(0), (2,), jnp.float32))
    first = variable.get_value(), variable.get_raw_value()
    variable.set_value(jnp.ones(2))
    return first, variable.get_raw_value()


def metadata_object(nnx):
    described = nnx.VariableMetadata(arange(2), metadata={"a": 1})
    return described.raw_value, described.metadata, nnx.Param(described, b=2)


def copy_from(nnx, make):
    variable = made(nnx, note="n")
    variable.copy_from(make(nnx))
    return variable


def update_from_state(nnx):
    variable = made(nnx, note="n")
    variable.update_from_state(nnx.Param(jnp.ones(2), note="new", more=1))
    return variable


def mapped(nnx):
    return jax.tree.map(lambda x: x + 1, made(nnx, note="n"))


def leaf_paths(nnx):
    pairs, _ = jax.tree_util.tree_flatten_with_path({"v": made(nnx)})
    return [jax.tree_util.keystr(path) for path, _ in pairs]


METHODS = {
    "init:array": lambda nnx: made(nnx),
    "init:number": lambda nnx: made(nnx, value=3.0),
    "init:numpy": lambda nnx: made(nnx, value=np.ones(2, np.float32)),
    "init:pytree": lambda nnx: made(
        nnx, value={"a": arange(1), "b": (arange(2), None)}
    ),
    "init:metadata": lambda nnx: made(nnx, a=1, b=("x", None)),
    "init:flags": lambda nnx: nnx.Param(arange(1), hijax=None, ref=None),
    "init:key": lambda nnx: nnx.RngKey(jax.random.key(0), tag="t"),
    "init:abstract": lambda nnx: (
        made(nnx, value=jax.ShapeDtypeStruct((2,), jnp.float32)).shape
    ),
    "get_value:all": lambda nnx: made(nnx).get_value(),
    "get_value:index": lambda nnx: made(nnx).get_value(index=1),
    "get_value:slice": lambda nnx: made(nnx).get_value(index=slice(1, None)),
    "get_value:dots": lambda nnx: made(nnx).get_value(index=...),
    "set_value:all": lambda nnx: made(nnx, call("set_value", jnp.ones(2))),
    "set_value:index": lambda nnx: made(nnx, call("set_value", 5.0, index=1)),
    "set_value:slice": lambda nnx: made(
        nnx, call("set_value", jnp.ones(2), index=slice(1, None))
    ),
    "set_value:pytree": lambda nnx: made(
        nnx, call("set_value", (arange(1), arange(2)))
    ),
    "value:get": lambda nnx: made(nnx).value,
    "value:set": lambda nnx: made(nnx, lambda v: setattr(v, "value", jnp.ones(1))),
    "raw_value:get": lambda nnx: made(nnx).raw_value,
    "raw_value:set": lambda nnx: made(
        nnx, lambda v: setattr(v, "raw_value", jnp.ones(1))
    ),
    "get_raw_value:all": lambda nnx: made(nnx).get_raw_value(),
    "set_raw_value:all": lambda nnx: made(nnx, call("set_raw_value", jnp.ones(1))),
    "create_value:all": lambda nnx: made(nnx).create_value(arange(2)),
    "getitem:dots": lambda nnx: made(nnx)[...],
    "getitem:index": lambda nnx: made(nnx)[1],
    "getitem:mask": lambda nnx: made(nnx)[jnp.array([True, False, True])],
    "getitem:dict": lambda nnx: made(nnx, value={"a": arange(1)})["a"],
    "getitem:tuple": lambda nnx: made(nnx, value=(arange(1), arange(2)))[1],
    "setitem:dots": lambda nnx: made(nnx, item_set(..., jnp.ones(3))),
    "setitem:dots-scalar": lambda nnx: made(nnx, item_set(..., 7.0)),
    "setitem:index": lambda nnx: made(nnx, item_set(0, 7.0)),
    "setitem:slice": lambda nnx: made(nnx, item_set(slice(1, 3), jnp.ones(2))),
    "setitem:dict": lambda nnx: made(nnx, item_set("b", arange(2)), value={"a": 1}),
    "setitem:list": lambda nnx: made(nnx, item_set(0, arange(2)), value=[1, 2]),
    "setitem:numpy": lambda nnx: made(nnx, item_set(0, 7.0), value=np.ones(2, "f")),
    "delitem:dict": lambda nnx: made(
        nnx, lambda v: operator.delitem(v, "a"), value={"a": 1, "b": 2}
    ),
    "add-in-place:item": lambda nnx: made(nnx, lambda v: item_set(0, v[0] + 1)(v)),
    "copy:same": lambda nnx: copied(nnx),
    "copy:value": lambda nnx: copied(nnx, jnp.ones(1)),
    "copy:value-by-name": lambda nnx: copied(nnx, value=jnp.ones(1)),
    "copy:metadata": lambda nnx: copied(nnx, note="new", more=1),
    "replace:value": lambda nnx: made(nnx, note="n").replace(jnp.ones(1), more=1),
    "to_state:same": lambda nnx: made(nnx, note="n").to_state(),
    "copy_from:same-type": lambda nnx: copy_from(
        nnx, lambda n: n.Param(arange(1), more=1)
    ),
    "copy_from:other-type": lambda nnx: copy_from(nnx, lambda n: n.Cache(arange(1))),
    "update_from_state:all": update_from_state,
    "from_metadata:all": lambda nnx: nnx.Param.from_metadata(
        arange(1), {**made(nnx).get_metadata(), "note": "n"}
    ),
    "get_metadata:name": attempt(call("get_metadata", "note")),
    "get_metadata:missing": attempt(call("get_metadata", "nope")),
    "get_metadata:default": attempt(call("get_metadata", "nope", 3)),
    "get_metadata:all": lambda nnx: made(nnx, note="n").get_metadata(
        exclude_required=True
    ),
    "has_metadata:yes": attempt(call("has_metadata", "note")),
    "has_metadata:no": attempt(call("has_metadata", "nope")),
    "set_metadata:names": attempt(call("set_metadata", note="new", more=2)),
    "set_metadata:name-and-value": attempt(call("set_metadata", "note", "new")),
    "set_metadata:mapping": attempt(call("set_metadata", {"only": 1})),
    "set_metadata:nothing": attempt(call("set_metadata")),
    "set_metadata:three": attempt(call("set_metadata", 1, 2, 3)),
    "set_metadata:mixed": attempt(call("set_metadata", {"a": 1}, b=2)),
    "del_metadata:name": attempt(call("del_metadata", "note")),
    "del_metadata:missing": attempt(call("del_metadata", "nope")),
    "metadata:attribute": attempt(lambda v: v.note),
    "metadata:attribute-missing": attempt(lambda v: v.nope),
    "metadata:attribute-set": attempt(lambda v: setattr(v, "note", 3)),
    "metadata:attribute-deleted": attempt(lambda v: delattr(v, "note")),
    "type:class": lambda nnx: made(nnx).type,
    "var_type:class": lambda nnx: made(nnx).var_type,
    "hijax:false": lambda nnx: made(nnx).hijax,
    "ref:false": lambda nnx: made(nnx).ref,
    "shape:tuple": lambda nnx: made(nnx).shape,
    "sharding_names:none": lambda nnx: made(nnx).sharding_names,
    "sharding_names:given": lambda nnx: (
        made(nnx, out_sharding=("a",), eager_sharding=False).sharding_names
    ),
    "sharding_names:old-name": lambda nnx: (
        made(nnx, sharding=("a",), eager_sharding=False).sharding_names
    ),
    "array-attributes": lambda nnx: (
        (v := made(nnx)).dtype,
        v.ndim,
        v.size,
        v.T,
        v.sum(),
        v.astype(int),
    ),
    "hooks:get": lambda nnx: hooked(nnx, on_get_value=scaled(3, "get")),
    "hooks:set": lambda nnx: hooked(nnx, on_set_value=scaled(3, "set")),
    "hooks:create": lambda nnx: hooked(nnx, on_create_value=scaled(3, "create")),
    "hooks:several": lambda nnx: hooked(
        nnx,
        on_get_value=lambda seen: (scaled(2, "one")(seen), scaled(5, "two")(seen)),
    ),
    "hooks:of-a-type": hooked_type,
    "add_axis:hook": axes,
    "overloaded:get_value": overloaded,
    "VariableMetadata:all": metadata_object,
    "with_metadata:names": lambda nnx: described(nnx, note="n"),
    "with_metadata:hooks": described_hooks,
    "tree-map:metadata-kept": mapped,
    "tree-map:paths": leaf_paths,
    "copy:module": lambda nnx: copy.copy(made(nnx, note="n")),
    "pickle:round-trip": lambda nnx: pickle.loads(pickle.dumps(made(nnx, note="n"))),
    "required_metadata:names": lambda nnx: isinstance(
        nnx.Variable.required_metadata, frozenset
    ),
}


@pytest.mark.parametrize("case", METHODS.values(), ids=METHODS)
def test_variable_does_as_in_flax(case):
    assert_same(case)


BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
BITWISE = ["and_", "or_", "xor", "lshift", "rshift"]
UNARY = ["neg", "pos", "abs"]
NUMBERS = {"int": int, "float": float, "complex": complex, "bool": bool}
NUMBERS |= {"round": round, "index": operator.index, "format": "{}".format}


def shown(result):
    return isinstance(result, jax.Array), np.asarray(result)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_binary_operator_as_in_flax(name, side):
    op = getattr(operator, name)

    def case(nnx):
        v, x = nnx.Param(arange(3) + 1), 2 * jnp.ones(3)
        pairs = {"left": (v, x), "right": (x, v), "both": (v, v)}
        return shown(op(*pairs[side]))

    assert_same(case)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_compares_the_arrays(name):
    """Flax has no order between Variables, and its `!=` asks for the truth of `==`."""
    op, x, y = getattr(operator, name), arange(3), jnp.ones(3)
    for a, b in [(oakum.Param(x), y), (x, oakum.Param(y)), (oakum.Param(x),) * 2]:
        expected = op(jnp.asarray(a), jnp.asarray(b))
        np.testing.assert_array_equal(op(a, b), expected)


@pytest.mark.parametrize("name", BITWISE)
def test_bitwise_operator_as_in_flax(name):
    op, x = getattr(operator, name), jnp.array([1, 2, 3])
    assert_same(lambda nnx: (shown(op(nnx.Param(x), x)), shown(op(x, nnx.Param(x)))))


@pytest.mark.parametrize("name", UNARY)
def test_unary_operator_as_in_flax(name):
    op = getattr(operator, name)
    assert_same(lambda nnx: shown(op(nnx.Param(arange(3) - 1))))


@pytest.mark.parametrize("name", [*BINARY[:7], "matmul", *BITWISE])
def test_operator_in_place_is_refused_as_in_flax(name):
    op = getattr(operator, f"i{name.strip('_')}")
    assert_same(lambda nnx: op(nnx.Param(jnp.array([1, 2])), jnp.array([1, 2])))


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_conversion_gives_what_the_array_gives(make):
    """Against the array: flax leaves some of these to its array's own method."""
    x = jnp.array(3)
    if make is not operator.index:
        x = x.astype(jnp.float32)
    got, expected = make(oakum.Param(x)), make(x)
    assert type(got) is type(expected) or isinstance(got, jax.Array)
    if make is not NUMBERS["format"]:
        assert got == expected


PROTOCOL = {
    "jnp": lambda v: jnp.sin(v),
    "jnp-two": lambda v: jnp.dot(v, v),
    "asarray": lambda v: jnp.asarray(v),
    "np.asarray": lambda v: np.asarray(v),
    "np.asarray-dtype": lambda v: np.asarray(v, dtype=np.float64),
    "np.array": lambda v: np.array(v, copy=True),
    "matmul": lambda v: v @ v,
    "divmod": lambda v: divmod(v[...], 2.0),
    "len": len,
    "iter": lambda v: list(v),
    "contains": lambda v: 1.0 in v,
    "array-method": lambda v: v.reshape(3, 1).mean(0),
    "at": lambda v: v.at[0].set(5.0),
    "jit": lambda v: jax.jit(lambda x: x * 2)(v[...]),
    "isinstance": lambda v: isinstance(v, jax.Array),
    "hash": hash,
}


@pytest.mark.parametrize("use", PROTOCOL.values(), ids=PROTOCOL)
def test_array_protocol_as_in_flax(use):
    assert_same(lambda nnx: use(nnx.Param(arange(3))))


@pytest.mark.parametrize("rounding", [math.floor, math.ceil])
def test_rounding_gives_a_whole_number(rounding):
    assert int(rounding(oakum.Param(jnp.float32(2.5)))) == rounding(2.5)


def names(nnx):
    class MyKind(nnx.Variable):
        pass

    first = nnx.variable_name_from_type(MyKind, allow_register=True)
    nnx.register_variable_name("oakum_other", MyKind, overwrite=True)
    return first, nnx.variable_type_from_name("oakum_other")


REGISTRY = {
    "variable_name_from_type:params": lambda nnx: nnx.variable_name_from_type(
        nnx.Param
    ),
    "variable_name_from_type:stats": lambda nnx: nnx.variable_name_from_type(
        nnx.BatchStat
    ),
    "variable_name_from_type:unknown": lambda nnx: nnx.variable_name_from_type(
        type("Unnamed", (nnx.Variable,), {})
    ),
    "variable_type_from_name:params": lambda nnx: nnx.variable_type_from_name("params"),
    "variable_type_from_name:unknown": lambda nnx: nnx.variable_type_from_name(
        "nope_a"
    ),
    "variable_type_from_name:new": lambda nnx: nnx.variable_type_from_name(
        "nope_b", allow_register=True
    ),
    "variable_type_from_name:base": lambda nnx: (
        nnx.variable_type_from_name("nope_c", base=nnx.Param, allow_register=True)
    ).__mro__[1],
    "register_variable_name:new": names,
    "register_variable_name:taken": lambda nnx: nnx.register_variable_name(
        "params", nnx.Cache
    ),
    "register_variable_name:decorator": lambda nnx: nnx.register_variable_name(
        "nope_d"
    )(type("Decorated", (nnx.Variable,), {})),
}
for _name in ["cache", "batch_stats", "intermediates", "perturbations"]:
    REGISTRY[f"variable_type_from_name:{_name}"] = lambda nnx, n=_name: (
        nnx.variable_type_from_name(n)
    )


@pytest.mark.parametrize("case", REGISTRY.values(), ids=REGISTRY)
def test_variable_names_as_in_flax(case):
    assert_same(case)


@pytest.mark.parametrize("name", TYPES.split())
def test_type_has_the_bases_that_flax_gives_it(name):
    def case(nnx):
        kind = optax_type(nnx, name)
        bases = [t for t in TYPES.split() if issubclass(kind, optax_type(nnx, t))]
        return sorted(bases), kind(arange(1), note="n")

    assert_same(case)


def test_a_type_of_ones_own_is_selected_and_mapped():
    def case(nnx):
        class Mine(nnx.Param):
            pass

        module = nnx.Dict(a=Mine(arange(1)), b=nnx.Param(arange(2)))
        doubled = jax.tree.map(lambda x: x * 2, nnx.state(module, Mine))
        return doubled, nnx.state(module, nnx.Param)

    assert_same(case)


def test_every_method_of_flax_is_there():
    public = {n for n in dir(flax_nnx.Variable) if not n.startswith("_")}
    assert public - set(dir(oakum.Variable)) <= {"T"}
