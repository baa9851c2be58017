"""Object graphs: what is shared stays shared, and structures compare by value."""

import copy
import functools
import os
import pickle
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oakum as nnx
from oakum._objects import clock


class Block(nnx.Module):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


def tied():
    w = nnx.Param(jnp.ones(2))
    inner = Block(w=w)
    return Block(a=inner, b=[inner, {"w": w}], c=(inner, w))


def cyclic():
    a, b = Block(w=nnx.Param(jnp.ones(2))), Block()
    a.others, b.back = [b], {"a": a}
    a.me = a
    return a


COPIES = {
    "split-merge": lambda x: nnx.merge(*nnx.split(x), copy=True),
    "split-merge-filters": lambda x: nnx.merge(
        *nnx.split(x, nnx.BatchStat, ...), copy=True
    ),
    "clone": nnx.clone,
    "clone-arrays": functools.partial(nnx.clone, arrays=True),
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "map": lambda x: nnx.map(lambda path, leaf: leaf + 0, x),
    "recursive_map": lambda x: nnx.recursive_map(lambda path, value: value, x),
    "tree-map": lambda x: jax.tree.map(lambda leaf: leaf, x),
    "tree-flatten": lambda x: jax.tree.unflatten(
        jax.tree.structure(x), jax.tree.leaves(x)
    ),
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_shared_references_stay_shared(duplicate):
    new = duplicate(tied())
    assert new.a is new.b[0]
    assert new.a is new.c[0]
    assert new.a.w is new.b[1]["w"]
    assert new.a.w is new.c[1]
    assert nnx.graphdef(new) == nnx.graphdef(tied())


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_cycles_are_closed_again(duplicate):
    old = cyclic()
    new = duplicate(old)
    assert new is not old
    assert new.me is new
    assert new.others[0].back["a"] is new


@pytest.mark.parametrize(
    "duplicate",
    [f for name, f in COPIES.items() if name != "recursive_map"],
    ids=[name for name in COPIES if name != "recursive_map"],
)
def test_a_copy_is_independent(duplicate):
    old = tied()
    new = duplicate(old)
    new.a.w[...] += 1
    new.b.append(3)
    assert float(old.a.w[0]) == 1.0
    assert len(old.b) == 2


def test_tied_weights_are_one_leaf():
    model = tied()
    assert len(jax.tree.leaves(model)) == 1
    assert nnx.to_flat_state(nnx.state(model)).paths == (("a", "w"),)
    doubled = jax.tree.map(lambda x: 2 * x, model)
    assert doubled.b[1]["w"] is doubled.a.w
    assert float(doubled.a.w[0]) == 2.0


EDITS = {
    "append": lambda m: m.items.append(1),
    "extend": lambda m: m.items.extend([1]),
    "insert": lambda m: m.items.insert(0, 1),
    "pop": lambda m: m.items.pop(),
    "remove": lambda m: m.items.remove(7),
    "clear": lambda m: m.items.clear(),
    "reverse": lambda m: m.items.reverse(),
    "sort": lambda m: m.items.sort(),
    "list-set": lambda m: m.items.__setitem__(0, 2),
    "list-set-slice": lambda m: m.items.__setitem__(slice(0, 1), [2, 3]),
    "list-delete": lambda m: m.items.__delitem__(0),
    "list-add-in-place": lambda m: m.items.__iadd__([1]),
    "list-times-in-place": lambda m: m.items.__imul__(2),
    "dict-set": lambda m: m.named.__setitem__("b", 2),
    "dict-delete": lambda m: m.named.__delitem__("a"),
    "dict-update": lambda m: m.named.update(b=1),
    "dict-or-in-place": lambda m: m.named.__ior__({"b": 1}),
    "dict-pop": lambda m: m.named.pop("a"),
    "dict-popitem": lambda m: m.named.popitem(),
    "dict-setdefault": lambda m: m.named.setdefault("b", 3),
    "dict-clear": lambda m: m.named.clear(),
    "dict-attribute": lambda m: setattr(m.named, "b", 1),
    "deep-in-tuple": lambda m: m.pair[0].append(3),
    "attribute": lambda m: setattr(m, "new", 3),
    "attribute-deleted": lambda m: delattr(m, "items"),
    "metadata": lambda m: m.w.set_metadata(note=1),
    "metadata-deleted": lambda m: m.w.del_metadata("old"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_structural_edit_is_seen(edit):
    model = Block(
        items=nnx.List([7, 5]),
        named=nnx.Dict(a=1),
        pair=(nnx.List([1]), 2),
        w=nnx.Param(1.0, old=1),
    )
    before, now = nnx.graphdef(model), clock.now
    edit(model)
    assert clock.now > now
    assert nnx.graphdef(model) != before


def test_a_new_value_is_no_structural_edit():
    model = tied()
    before, now = nnx.graphdef(model), clock.now
    model.a.w[...] = jnp.zeros(2)
    model.a.w.value = jnp.ones(2)
    assert clock.now == now
    assert nnx.graphdef(model) == before


MOVES = {
    "none": (lambda x: None, ["a", 2.0, 3]),
    "insert": (lambda x: x.insert(0, "new"), ["new", "a", 2.0, 3]),
    "append": (lambda x: x.append(nnx.data(4.0)), ["a", 2.0, 3, 4.0]),
    "delete": (lambda x: x.__delitem__(0), [2.0, 3]),
    "remove": (lambda x: x.remove("a"), [2.0, 3]),
    "pop": (lambda x: x.pop(0), [2.0, 3]),
    "reverse": (lambda x: x.reverse(), [3, 2.0, "a"]),
    "sort": (lambda x: x.sort(key=str), [2.0, 3, "a"]),
    "slice": (lambda x: x.__setitem__(slice(0, 1), [7, 8]), [7, 8, 2.0, 3]),
    "repeat": (lambda x: x.__imul__(1), ["a", 2.0, 3]),
}


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(("edit", "items"), MOVES.values(), ids=MOVES)
def test_the_mark_of_an_item_moves_with_it(edit, items, again):
    """`data` makes a number a leaf, wherever in the list an edit puts it."""
    model = Block(x=["a", nnx.data(2.0), nnx.static(3)], y={"k": nnx.data(1.0)})
    edit(model.x)
    model = again(model)
    floats = [(("x", i), x) for i, x in enumerate(items) if isinstance(x, float)]
    assert list(model.x) == items
    assert list(nnx.to_flat_state(nnx.state(model))) == [*floats, (("y", "k"), 1.0)]


DIFFER = {
    "number": ({"x": 1}, {"x": 2}),
    "bool": ({"x": 1}, {"x": True}),
    "float": ({"x": 1}, {"x": 1.0}),
    "sign-of-zero": ({"x": 0.0}, {"x": -0.0}),
    "bytes": ({"x": "a"}, {"x": b"a"}),
    "tuple-or-list": ({"x": (1, 2)}, {"x": [1, 2]}),
    "none-or-nothing": ({"x": None}, {}),
    "list-or-dict": ({"x": []}, {"x": {}}),
    "variable-type": ({"x": nnx.Param(1.0)}, {"x": nnx.Cache(1.0)}),
    "metadata": ({"x": nnx.Param(1.0)}, {"x": nnx.Param(1.0, a=1)}),
    "function": ({"x": jnp.sin}, {"x": jnp.cos}),
    "lambda": ({"x": lambda x: x + 1}, {"x": lambda x: x + 2}),
    "partial": ({"x": functools.partial(max, key=1)}, {"x": functools.partial(max)}),
    "numpy": ({"x": nnx.static(np.ones(2))}, {"x": nnx.static(np.zeros(2))}),
    "array-or-variable": ({"x": np.ones(2)}, {"x": nnx.Param(np.ones(2))}),
}


@pytest.mark.parametrize(("one", "other"), DIFFER.values(), ids=DIFFER)
def test_structures_that_differ_are_told_apart(one, other):
    assert nnx.graphdef(Block(**one)) != nnx.graphdef(Block(**other))


def make_function(n):
    def function(x, y=[n]):  # noqa: B006 - a default that is made anew each time
        return x + n + y[0]

    return function


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"x": make_function(3)},
        lambda: {"x": lambda x: x + 1},
        lambda: {"x": functools.partial(make_function(1), 2)},
        lambda: {"x": [1, {"a": (2, None)}]},
        lambda: {"x": nnx.static(np.arange(3))},
        lambda: {"x": jnp.float32, "y": jnp.dtype("int8"), "z": jax.nn.relu},
        lambda: {"x": optax.adam(1e-3)},
        lambda: {"x": optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))},
        lambda: {"x": optax.adamw(optax.cosine_decay_schedule(0.1, 100))},
    ],
    ids=["closure", "lambda", "partial", "nested", "numpy", "types", *["optax"] * 3],
)
def test_structures_built_twice_are_equal(make):
    assert nnx.graphdef(Block(**make())) == nnx.graphdef(Block(**make()))


def rebinding(n, rebind=True):
    def function(x):
        nonlocal n
        n = float(n)
        return x * n

    return function if rebind else lambda x: x * n


def test_a_number_that_a_function_binds_anew_keeps_its_structure():
    function = rebinding(20)
    before = nnx.graphdef(Block(x=function))
    assert function(2) == 40.0
    assert nnx.graphdef(Block(x=function)) == before
    assert nnx.graphdef(Block(x=rebinding(20))) == before
    assert nnx.graphdef(Block(x=rebinding(21))) != before
    assert nnx.graphdef(Block(x=rebinding(True))) != nnx.graphdef(Block(x=rebinding(1)))


def test_a_number_that_a_function_only_reads_is_told_apart_by_its_type():
    one, other = (Block(x=rebinding(n, rebind=False)) for n in (20, 20.0))
    assert nnx.graphdef(one) != nnx.graphdef(other)


def test_optimizers_compare_by_the_values_in_their_transformation():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    def graphdef(tx):
        return nnx.graphdef(nnx.Optimizer(model, tx))

    assert graphdef(optax.adam(1e-3)) == graphdef(optax.adam(1e-3))
    assert graphdef(optax.adam(1e-3)) != graphdef(optax.adam(1e-4))
    assert graphdef(optax.adam(1e-3)) != graphdef(optax.adam(1e-3, b1=0.8))


PROGRAM = textwrap.dedent("""
    import pickle, sys, jax.numpy as jnp, oakum as nnx
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    model = nnx.Sequential(layer, jnp.sin, nnx.Dropout(0.1))
    model.names = {"b": 1.5, "a": ("x", None, frozenset("abc"))}
    graphdef = nnx.graphdef(model)
    sys.stdout.buffer.write(pickle.dumps((hash(graphdef), graphdef)))
""")


def run_program(seed):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        env=environment,
        check=True,
    )
    return pickle.loads(done.stdout)


def test_graphdef_is_the_same_in_every_process():
    (one, graphdef), (other, again) = run_program("1"), run_program("2")
    assert one == other == hash(graphdef)
    assert graphdef is again


def test_graphdef_copies_to_itself():
    graphdef = nnx.graphdef(tied())
    for duplicate in (
        copy.copy,
        copy.deepcopy,
        lambda g: pickle.loads(pickle.dumps(g)),
    ):
        assert duplicate(graphdef) is graphdef


def test_graphdef_is_a_static_pytree():
    graphdef, state = nnx.split(tied())
    assert jax.tree.leaves(graphdef) == []
    total = jax.jit(lambda pair: nnx.merge(*pair).a.w.sum())((graphdef, state))
    assert float(total) == 2.0


REPRS = {
    "variable": (
        nnx.Param(jnp.ones(2), note="n"),
        "Param(float32[2] [1., 1.], note='n')",
    ),
    "big-variable": (nnx.Param(jnp.ones((4, 4))), "Param(float32[4,4])"),
    "pytree-variable": (nnx.Intermediate((1, 2)), "Intermediate((1, 2))"),
    "list": (nnx.List([1, "a"]), "List(1, 'a')"),
    "dict": (nnx.Dict(b=1, a=2), "Dict(b=1, a=2)"),
    "static": (Block(f=jnp.sin, n=None), "Block(f=sin, n=None)"),
    "state": (nnx.State({"a": {"b": 1}}), "State(a=State(b=1))"),
    "filter": (
        nnx.All(nnx.PathContains("x"), "tag"),
        "All(PathContains('x', exact=True), 'tag')",
    ),
}


@pytest.mark.parametrize(("value", "text"), REPRS.values(), ids=REPRS)
def test_repr_is_compact(value, text):
    assert repr(value) == text


def test_repr_shows_sizes_and_ends_on_cycles():
    text = repr(cyclic())
    assert text.startswith("Block(  # Param: 2 (8 B)")
    assert "me=Block(...)" in text
    assert len(text.splitlines()) < 8


def test_repr_of_a_model_names_each_layer_on_its_line():
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu)
    lines = repr(model).splitlines()
    assert lines[0].startswith("Sequential(  # Param: 9 (36 B)")
    assert any("kernel=Param(float32[2,3]" in line for line in lines)
    assert any("relu" in line for line in lines)


# -- any graph at all

KEYS = st.sampled_from(["a", "b", "c", "d1", "d10", "d2"])
KINDS = [nnx.Param, nnx.BatchStat, nnx.Cache, nnx.Variable]


@st.composite
def graphs(draw):
    """An object graph: all kinds of children, shared references and cycles."""
    root = Block()
    made = [root]
    open_nodes = [root]
    for _ in range(draw(st.integers(0, 12))):
        node, key = draw(st.sampled_from(open_nodes)), draw(KEYS)
        child = draw(children(made))
        if isinstance(child, Block | nnx.List | nnx.Dict):
            open_nodes.append(child)
        if isinstance(child, Block | nnx.List | nnx.Dict | nnx.Variable):
            made.append(child)
        _put(node, key, child)
    return root


@st.composite
def children(draw, made):
    kind = draw(
        st.sampled_from(["old", "variable", "array", "node", "static", "tuple"])
    )
    if kind == "old":
        return draw(st.sampled_from(made))
    if kind == "variable":
        cls, size = draw(st.sampled_from(KINDS)), draw(st.integers(1, 3))
        return cls(
            jnp.arange(float(size)), **draw(st.sampled_from([{}, {"note": "n"}]))
        )
    if kind == "array":
        return draw(st.sampled_from([jnp.ones(2), np.ones(3, np.int32), jnp.int32(1)]))
    if kind == "node":
        return draw(st.sampled_from([Block, nnx.List, nnx.Dict]))()
    if kind == "static":
        return draw(st.sampled_from([None, 1, "text", jnp.sin, (1, 2), frozenset()]))
    return (draw(st.sampled_from(made)), jnp.zeros(1), (None, 3))


def _put(node, key, child):
    if isinstance(node, nnx.List):
        node.append(child)
    elif isinstance(node, nnx.Dict):
        node[key] = child
    else:
        setattr(node, key, child)


def same(one, other, seen):
    """Whether two values agree in types, keys, sharing, statics and arrays."""
    if isinstance(one, Block | nnx.List | nnx.Dict | nnx.Variable):
        if id(one) in seen or id(other) in seen.values():
            return seen.get(id(one)) == id(other)
        seen[id(one)] = id(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, nnx.Variable):
        same_metadata = one.get_metadata() == other.get_metadata()
        return same_metadata and same(one.get_value(), other.get_value(), seen)
    if isinstance(one, jax.Array | np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, Block):
        one, other = vars(one), vars(other)
    if isinstance(one, dict):
        pairs = [(one[k], other.get(k)) for k in one]
        return list(one) == list(other) and all(same(a, b, seen) for a, b in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            map(lambda a, b: same(a, b, seen), one, other)
        )
    return one == other


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@settings(max_examples=30, deadline=None)
@given(root=graphs())
def test_any_graph_survives(duplicate, root):
    assert same(root, duplicate(root), {})


@settings(max_examples=60, deadline=None)
@given(root=graphs())
def test_any_state_holds_each_leaf_once_in_canonical_order(root):
    graphdef, state = nnx.split(root)
    paths = nnx.to_flat_state(state).paths
    assert paths == tuple(path for path, _ in graphdef.paths)
    assert list(paths) == sorted(paths, key=_order)
    variables = [v for _, v in nnx.to_flat_state(nnx.variables(root))]
    assert len({id(v) for v in variables}) == len(variables)


def _order(path):
    return [(isinstance(part, str), part) for part in path]


@settings(max_examples=60, deadline=None)
@given(root=graphs())
def test_updating_any_graph_with_its_own_state_changes_nothing(root):
    before, now = nnx.clone(root), clock.now
    nnx.update(root, nnx.state(root))
    assert same(before, root, {})
    assert clock.now == now
    nnx.update(root, nnx.state(before))
    assert same(before, root, {})


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_merge_copies_a_random_key_inside_of_a_trace(impl):
    key = nnx.RngKey(jax.random.key(0, impl=impl), tag="default")
    graph, state = nnx.split(nnx.Dict(key=key))

    def copied():
        return jax.random.key_data(nnx.merge(graph, state, copy=True).key.value)

    with nnx.guard(stale="off"):
        got = jax.jit(copied)()
    np.testing.assert_array_equal(got, jax.random.key_data(key.value))


def test_a_graphdef_lists_its_nodes_and_variables_once():
    class Pair(nnx.Module):
        def __init__(self):
            self.first = self.again = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
            self.more = [nnx.Cache(1.0)]

    nodes = nnx.graphdef(Pair()).nodes
    kinds = [Pair, nnx.Linear, nnx.Param, nnx.Param, list, nnx.Cache]
    assert [node.type for node in nodes] == kinds
    assert [node.index for node in nodes] == list(range(6))
    assert isinstance(nodes[0], nnx.graph.NodeDef)
    assert isinstance(nodes[2], nnx.graph.VariableDef)


def test_what_is_no_array_in_a_pytree_marked_as_data_is_static():
    """A number that is marked itself is data; a switch in a pytree is not."""

    class Step(nnx.Module):
        def __init__(self):
            self.rate, self.steps = nnx.data(3), nnx.data([1, 2])
            self.config = nnx.data({"on": True, "act": jnp.tanh, "w": jnp.zeros(2)})

        def __call__(self):
            return self.config["act"](self.config["w"]) + self.rate

    graphdef, state = nnx.split(Step())
    assert sorted(path for path, _ in nnx.to_flat_state(state)) == [
        ("config", "w"),
        ("rate",),
    ]
    merged = nnx.merge(graphdef, state)
    assert (merged.steps, merged.config["on"]) == ([1, 2], True)
    assert nnx.jit(lambda step: step())(merged).tolist() == [3.0, 3.0]
