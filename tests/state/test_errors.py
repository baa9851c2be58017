"""Bad input to objects and verbs: the message names it and the remedy; nothing changed.

Each row: the program, the class of the error, and what its message has to match.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum._graph import encode
from oakum.errors import (
    ArgumentError,
    ArgumentValueError,
    FilterError,
    StaticValueError,
    StructureError,
)


class Layer(nnx.Module):
    def __init__(self):
        self.kernel = nnx.Param(jnp.ones((2, 3)))
        self.bias = nnx.Param(jnp.zeros(3))
        self.mean = nnx.BatchStat(jnp.zeros(3))


class Model(nnx.Module):
    def __init__(self):
        self.layers = [Layer(), Layer()]
        self.table = jnp.arange(4)
        self.name = "model"


def params(**changes):
    state = nnx.state(Model(), nnx.Param)
    for path, value in changes.items():
        layer, name = path.split("_")
        state["layers"][int(layer[-1])][name] = value
    return state


def without(*names):
    state = params()
    for name in names:
        del state["layers"][1][name]
    return state


def with_static(value):
    model = Model()
    model.layers[1].thing = nnx.static(0)
    object.__setattr__(model.layers[1], "thing", value)  # past the check
    return model


def replace_in_cycle():
    layer = Layer()
    layer.me = layer
    return nnx.recursive_map(lambda p, x: 3 if isinstance(x, Layer) else x, layer)


UPDATES = {
    "shape": (
        lambda: params(l0_kernel=jnp.ones((3, 2))),
        [r"layers\.0\.kernel: expected shape \(2, 3\), got \(3, 2\)", "1 mismatch\n"],
    ),
    "dtype": (
        lambda: params(l0_bias=jnp.zeros(3, jnp.int32)),
        [r"layers\.0\.bias: expected dtype float32, got int32"],
    ),
    "missing": (
        lambda: without("bias"),
        [r"layers\.1\.bias: missing \(Param\)"],
    ),
    "unknown": (
        lambda: params(l1_extra=nnx.Param(jnp.ones(2))),
        [r"layers\.1\.extra: unknown path"],
    ),
    "not-an-array": (
        lambda: params(l0_bias="text"),
        [r"layers\.0\.bias: expected an array, got str"],
    ),
    "bare-array": (
        lambda: nnx.State({"table": jnp.zeros(5, jnp.int32)}),
        [r"table: expected shape \(4,\), got \(5,\)"],
    ),
    "static-attribute": (
        lambda: nnx.State({"name": jnp.zeros(())}),
        ["name: unknown path"],
    ),
    "pure-dict": (
        lambda: {"layers": {"0": {"kernel": np.ones((2, 3))}}},
        [r"layers\.0\.kernel: unknown path"],
    ),
    "all-at-once": (
        lambda: params(
            l0_kernel=jnp.ones(1), l0_bias=jnp.zeros(3, bool), l1_x=jnp.ones(1)
        ),
        [
            "update: 3 mismatches",
            r"layers\.0\.kernel: expected shape \(2, 3\), got \(1,\)",
            r"layers\.0\.bias: expected dtype float32, got bool",
            r"layers\.1\.x: unknown path",
            "Instead: correct the State; without strict=True",
        ],
    ),
}


@pytest.mark.parametrize(("make", "parts"), UPDATES.values(), ids=UPDATES)
def test_update_lists_each_mismatch_and_changes_nothing(make, parts):
    model = Model()
    state, before = make(), nnx.to_pure_dict(nnx.state(model))
    for part in parts:
        with pytest.raises(StructureError, match=part):
            nnx.update(model, state, strict=True)
    after = nnx.to_pure_dict(nnx.state(model))
    same = jax.tree.map(lambda a, b: a is b, before, after)
    assert all(jax.tree.leaves(same))


def test_update_may_leave_out_whole_types():
    model = Model()
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    nnx.update(model, zeros)
    assert float(model.layers[1].kernel.sum()) == 0.0


def test_lenient_update_takes_what_flax_takes():
    model = Model()
    state = {"layers": {1: {"bias": jnp.ones(7), "new": nnx.Cache(jnp.ones(1))}}}
    nnx.update(model, state, strict=False)
    assert model.layers[1].bias.shape == (7,)
    assert isinstance(model.layers[1].new, nnx.Cache)
    nnx.update(model, {"deep": {"er": jnp.ones(1)}}, strict=False)
    assert model.deep.er.shape == (1,)


def test_update_of_a_variable_checks_too():
    variable = nnx.Param(jnp.ones(2))
    with pytest.raises(StructureError, match=r"the root: expected shape \(2,\)"):
        nnx.update(variable, jnp.ones(3))
    nnx.update(variable, nnx.Param(jnp.zeros(2), note="n"))
    assert variable.note == "n"


def test_update_takes_the_path_of_an_alias():
    model = Model()
    model.tied = model.layers[0].bias
    nnx.update(model, {**params(), "tied": jnp.full(3, 7.0)})
    assert float(model.layers[0].bias[0]) == 7.0


def test_update_writes_into_tuples():
    model = nnx.Dict(pair=(jnp.ones(2), (nnx.Param(jnp.ones(1)), jnp.ones(3))))
    new = {"pair": {0: jnp.zeros(2), 1: {1: jnp.zeros(3)}}}
    nnx.update(model, new)
    assert [float(x.sum()) for x in (model.pair[0], model.pair[1][1])] == [0.0, 0.0]
    assert float(model.pair[1][0][0]) == 1.0


def merge_of(*change):
    graphdef, state = nnx.split(Model())
    return nnx.merge(graphdef, *[f(state) for f in change])


ROWS = {
    "merge-missing": (
        lambda: merge_of(lambda s: nnx.filter_state(s, nnx.Param)),
        StructureError,
        [
            "merge: 3 mismatches",
            r"missing layers\.0\.mean",
            r"missing layers\.1\.mean",
            "missing table",
            "Instead: give merge all the States that split returned",
        ],
    ),
    "merge-surplus": (
        lambda: merge_of(lambda s: s, lambda s: nnx.State({"extra": {"deep": 1}})),
        StructureError,
        ["merge: 1 mismatch\n", r"surplus extra\.deep"],
    ),
    "merge-twice": (
        lambda: merge_of(lambda s: s, lambda s: nnx.state(Model(), nnx.BatchStat)),
        StructureError,
        [r"given twice: layers\.1\.mean", "each leaf once"],
    ),
    "merge-no-graphdef": (
        lambda: nnx.merge(nnx.state(Model())),
        ArgumentError,
        ["merge takes a GraphDef first, got State", r"nnx\.merge\(graphdef, state"],
    ),
    "merge-no-state": (
        lambda: nnx.merge(nnx.graphdef(Model()), "state"),
        ArgumentError,
        ["State or nested dicts are needed, got str", r"nnx\.state\(model\)"],
    ),
    "state-of-a-variable": (
        lambda: nnx.state(nnx.Param(jnp.ones(2))),
        ArgumentError,
        ["A Param alone has no path", "give the module that holds it"],
    ),
    "split-remainder": (
        lambda: nnx.split(Model(), nnx.BatchStat),
        FilterError,
        [
            r"leave a remainder: layers\.0\.bias \(Param\)",
            r"table \(ArrayImpl\)",
            r"add `\.\.\.` as the last filter",
        ],
    ),
    "split-many-left": (
        lambda: nnx.split(nnx.List([Model(), Model()]), nnx.Cache),
        FilterError,
        ["and 9 more"],
    ),
    "split_state-remainder": (
        lambda: nnx.split_state(nnx.state(Model()), nnx.Param),
        FilterError,
        [r"layers\.0\.mean \(BatchStat\)"],
    ),
    "flat-split-remainder": (
        lambda: nnx.to_flat_state(nnx.state(Model())).split(nnx.Param),
        FilterError,
        [r"layers\.0\.mean \(BatchStat\)"],
    ),
    "filter-after-dots": (
        lambda: nnx.split(Model(), ..., nnx.Param),
        FilterError,
        [r"`\.\.\.` selects all.*Param", "put `...` last"],
    ),
    "filter-after-true": (
        lambda: nnx.state(Model(), True, nnx.Param, ...),
        FilterError,
        ["selects nothing"],
    ),
    "not-a-filter": (
        lambda: nnx.state(Model(), 3),
        FilterError,
        ["Not a filter: 3", r"nnx\.PathContains\('bias'\)"],
    ),
    "not-a-filter-inside": (
        lambda: nnx.All(nnx.Param, 2.5),
        FilterError,
        [r"Not a filter: 2\.5"],
    ),
    "pop-no-filter": (
        lambda: nnx.pop(Model()),
        FilterError,
        ["pop needs a filter", r"nnx\.pop\(model, nnx\.Intermediate\)"],
    ),
    "static-array": (
        lambda: nnx.graphdef(with_static(jnp.ones(3))),
        StaticValueError,
        [
            "static value is an array",
            r"attribute Model\.layers, list\[1\], Layer\.thing",
            r"nnx\.data\(array\)",
        ],
    ),
    "check_pytree": (
        lambda: nnx.check_pytree(with_static(jnp.ones(3))),
        StaticValueError,
        [r"Layer\.thing"],
    ),
    "check_pytree-not-a-node": (
        lambda: nnx.check_pytree([1]),
        ArgumentError,
        ["another Pytree, got list", r"nnx\.check_pytree\(model\)"],
    ),
    "param-text": (
        lambda: nnx.Param("x"),
        ArgumentError,
        ["Param holds an array.*not str: 'x'", r"Param\(jnp\.asarray"],
    ),
    "param-bytes": (lambda: nnx.Param(b"x"), ArgumentError, ["not bytes"]),
    "param-class": (lambda: nnx.BatchStat(Layer), ArgumentError, ["BatchStat holds"]),
    "copy_from": (
        lambda: nnx.Param(1.0).copy_from(nnx.Cache(1.0)),
        ArgumentValueError,
        ["A Param cannot copy from a Cache", "same type"],
    ),
    "set_metadata": (
        lambda: nnx.Param(1.0).set_metadata(1, 2, 3),
        ArgumentError,
        ["3 positional and 0 named", r"set_metadata\(name=value, \.\.\.\)"],
    ),
    "del_metadata": (lambda: nnx.Param(1.0).del_metadata("no"), KeyError, ["no"]),
    "get_metadata": (lambda: nnx.Param(1.0).get_metadata("no"), KeyError, ["no"]),
    "get_metadata-default": (
        lambda: nnx.Param(1.0).get_metadata(default=3),
        ArgumentError,
        ["the default 3, and no name", r"get_metadata\('name', default\)"],
    ),
    "variable-attribute": (
        lambda: setattr(nnx.Param(1.0), "note", 2),
        AttributeError,
        ["Cannot set 'note' on a Param", r"set_metadata\(note=", r"variable\.value"],
    ),
    "in-place-operator": (
        lambda: exec("v += 1", {"v": nnx.Cache(1.0)}),
        NotImplementedError,
        ["replace the Cache by an array", r"variable\[\.\.\.\] \+= x"],
    ),
    "clone": (
        lambda: nnx.clone(Model(), variables=False, arrays=True),
        ArgumentValueError,
        ["arrays=True with variables=False", "one of the two"],
    ),
    "recursive_map-cycle": (
        replace_in_cycle,
        StructureError,
        ["replaces the Layer at the root", "edited in place"],
    ),
    "set_attributes": (
        lambda: Model().set_attributes(nope=1, never=2),
        FilterError,
        [r"\['never', 'nope'\]", "raise_if_not_found=False"],
    ),
    "sow": (
        lambda: Layer().sow(nnx.Intermediate, "mean", 1),
        ArgumentValueError,
        ["'mean' of Layer is a BatchStat, expected Intermediate", "nothing else has"],
    ),
    "perturb": (
        lambda: Layer().perturb("mean", jnp.ones(3)),
        ArgumentValueError,
        ["'mean' of Layer is a BatchStat, expected Perturbation"],
    ),
    "data": (
        lambda: nnx.data(1, default=2),
        ArgumentError,
        [r"nnx\.data got a value and default too", r"nnx\.data\(default=value\)"],
    ),
    "static": (
        lambda: nnx.static(1, init=False),
        ArgumentError,
        [r"nnx\.static got a value and init too"],
    ),
    "replace_by_pure_dict": (
        lambda: nnx.replace_by_pure_dict(
            nnx.state(Layer()), {"a": {"b": 1}, "bias": 1}
        ),
        StructureError,
        [r"does not have: a\.b", "it has: bias, kernel, mean"],
    ),
    "name-unknown": (
        lambda: nnx.variable_type_from_name("nope"),
        ArgumentValueError,
        ["named 'nope'; known: .*'params'", "allow_register=True"],
    ),
    "type-unnamed": (
        lambda: nnx.variable_name_from_type(nnx.OptArray),
        ArgumentValueError,
        ["OptArray has no registered name", r"register_variable_name\('name', Type\)"],
    ),
    "name-taken": (
        lambda: nnx.register_variable_name("params", nnx.Cache),
        ArgumentValueError,
        ["'params' belongs to Param", "overwrite=True"],
    ),
    "state-attribute": (
        lambda: nnx.state(Layer()).nope,
        AttributeError,
        ["State has no item 'nope'; it has: bias, kernel, mean"],
    ),
    "dict-attribute": (
        lambda: nnx.Dict(a=1).nope,
        AttributeError,
        ["Dict has no item 'nope'"],
    ),
    "dunder": (lambda: nnx.Dict(a=1).__nope__, AttributeError, ["__nope__"]),
    "dunder-state": (lambda: nnx.State({}).__nope__, AttributeError, ["__nope__"]),
    "dunder-variable": (lambda: nnx.Param(1.0).__nope__, AttributeError, ["__nope__"]),
    "result-no-array": (
        lambda: encode_strictly(object()),
        ArgumentError,
        ["object is not an array, nor a pytree", "static argument"],
    ),
}


def encode_strictly(value):
    from oakum._graph import Encoder

    return Encoder(opaque=False).visit(value)


@pytest.mark.parametrize(
    ("program", "kind", "parts"),
    [pytest.param(*row, id=name) for name, row in ROWS.items()],
)
def test_error_names_the_object_and_the_remedy(program, kind, parts):
    for part in parts:
        with pytest.raises(kind, match=f"(?s){part}"):
            program()


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.replace_by_pure_dict({"bias": jnp.ones(3), "nope": 1}),
        lambda m: nnx.replace_by_pure_dict(m, {"nope": 1, "kernel": jnp.ones(1)}),
    ],
    ids=["method", "function"],
)
def test_a_failed_replacement_changes_nothing(edit):
    state = nnx.state(Layer())
    before = dict(state)
    with pytest.raises(StructureError):
        edit(state)
    assert all(state[name] is leaf for name, leaf in before.items())


def test_a_failed_edit_of_metadata_changes_nothing():
    variable = nnx.Param(jnp.ones(1), note="n")
    with pytest.raises(ArgumentError):
        variable.set_metadata({"a": 1}, b=2)
    assert variable.get_metadata() == {"note": "n"}


@pytest.mark.parametrize(
    "value",
    [1, 1.5, True, {"a": jnp.ones(1)}, (), None, jnp.float32(1), len],
    ids=str,
)
def test_a_variable_holds_arrays_numbers_and_pytrees(value):
    assert nnx.Param(value).get_value() == value


def test_errors_are_caught_by_the_built_in_classes():
    for kind, built_in in [
        (StructureError, ValueError),
        (FilterError, ValueError),
        (ArgumentValueError, ValueError),
        (ArgumentError, TypeError),
        (StaticValueError, TypeError),
    ]:
        assert issubclass(kind, built_in)


def test_encode_is_not_changed_by_a_failure():
    model = with_static(jnp.ones(3))
    with pytest.raises(StaticValueError):
        encode(model)
    model.layers[1].thing = 3
    assert nnx.graphdef(model) is nnx.graphdef(with_static(3))
