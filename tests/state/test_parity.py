"""The verbs on object graphs, on States and the filters: same results as flax.nnx.

Each row is a small program; its id starts with the name that it tests.
"""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.peer import (
    arange,
    assert_same,
    flax_nnx,
    kinds,
    make_block,
    make_cycle,
    make_net,
    plain,
)

pytestmark = pytest.mark.peer


def zeros(nnx, node):
    return jax.tree.map(jnp.zeros_like, nnx.state(node, nnx.Param))


def double(path, leaf):
    return leaf.replace(leaf.get_value() * 2) if hasattr(leaf, "replace") else leaf * 2


def edited(nnx, edit, make=make_net):
    node = make(nnx)
    edit(nnx, node)
    return node


def merged(nnx, node, *filters):
    graphdef, *states = nnx.split(node, *filters)
    return nnx.merge(graphdef, *states)


def merged_from_numpy(nnx):
    graphdef, state = nnx.split(make_block(nnx))
    return nnx.merge(graphdef, jax.tree.map(np.asarray, state))


def twice(nnx):
    """Whether a dict that stands twice is one dict after, and its Variable one."""
    item = {"a": nnx.Param(arange(1))}
    x, y = nnx.merge(*nnx.split([item, item]))
    return x is y, x["a"] is y["a"]


def shared_with(nnx, copied):
    """Whether what is written to the copy is seen in the block."""
    block = make_block(nnx)
    copied(block).kernel[...] += 1
    return block.kernel.get_value()


def merged_keeps(nnx):
    block = make_block(nnx)
    graphdef, state = nnx.split(block)
    new = nnx.merge(graphdef, state, recreate_variables=False)
    return new.kernel is block.kernel, new is block


def merged_is_fresh(nnx):
    block = make_block(nnx)
    new = nnx.merge(*nnx.split(block), copy=True)
    new.kernel[...] += 1
    return block, new


def shared(nnx, make=make_net):
    net = make(nnx)
    return net.tied is net.layers[0].kernel, net.heads["a"] is net.heads["b"]


def popped(nnx, *filters):
    net = make_net(nnx)
    return nnx.pop(net, *filters), net


def same_graphdef(nnx, change=lambda net: None):
    one, other = make_block(nnx), make_block(nnx)
    change(other)
    return nnx.graphdef(one) == nnx.graphdef(other)


def listed(found):
    return lambda path, value: found.append((path, type(value).__name__)) or value


def recursive_paths(nnx):
    found = []
    nnx.recursive_map(listed(found), make_net(nnx))
    return [(p, t) for p, t in found if not any(str(k).startswith("_") for k in p)]


def shared_variables(nnx, **kwargs):
    block = make_block(nnx)
    return nnx.clone(block, **kwargs).kernel is block.kernel


def set_note(nnx, **only):
    return edited(nnx, lambda nnx, net: nnx.set_metadata(net, note="new", **only))


def deterministic(nnx, **kwargs):
    net = make_net(nnx)
    new = nnx.with_attributes(net, deterministic=True, **kwargs)
    flags = [m.deterministic for m in (net, new, new.layers[0], new.heads["a"])]
    return flags, new.bias is net.bias


def update_two(nnx, net):
    nnx.update(net, zeros(nnx, net), nnx.State({"table": jnp.zeros(4)}))


def update_metadata(nnx, net):
    nnx.update(net, nnx.map_state(lambda p, v: v.replace(note="x"), params(nnx)))


VERBS = {
    "split:all": lambda nnx: nnx.split(make_net(nnx)),
    "split:filters": lambda nnx: nnx.split(
        make_net(nnx), nnx.Param, nnx.BatchStat, ...
    ),
    "split:tuple-filter": lambda nnx: nnx.split(
        make_net(nnx), (nnx.Param, nnx.BatchStat), ...
    ),
    "split:remainder": lambda nnx: nnx.split(make_net(nnx), nnx.Param),
    "split:all-then-more": lambda nnx: nnx.split(make_net(nnx), ..., nnx.Param),
    "split:variable": lambda nnx: nnx.split(nnx.Param(arange(2))),
    "split:list": lambda nnx: nnx.split([make_block(nnx), nnx.Param(arange(2))]),
    "split:dict": lambda nnx: nnx.split({"b": make_block(nnx), "a": arange(2)}),
    "split:state": lambda nnx: nnx.split(nnx.state(make_block(nnx)))[1],
    "split:empty-list": lambda nnx: nnx.split(nnx.List([])),
    "split:array-by-filters": lambda nnx: nnx.split(jnp.ones(2), nnx.Param, ...)[1:],
    "split:number-by-filters": lambda nnx: nnx.split(3, nnx.Param, ...)[1:],
    "split:variable-by-filters": lambda nnx: nnx.split(
        nnx.Param(arange(2)), nnx.BatchStat, nnx.Param
    )[1:],
    "split:array-left-over": lambda nnx: nnx.split(jnp.ones(2), nnx.Param),
    "split:static-items": lambda nnx: nnx.merge(
        *nnx.split({"a": None, "b": 2, "c": "x", "d": arange(1)})
    ),
    "split:number-is-no-leaf": lambda nnx: (
        nnx.to_flat_state(
            nnx.split((make_block(nnx), {"a": nnx.Param(arange(1)), "n": 3}))[1]
        ).paths
    ),
    "split:dict-twice": twice,
    "pop:dicts-of-arrays": lambda nnx: (
        nnx.pop(
            tree := {"a": arange(2), "b": {"c": arange(3)}}, lambda p, x: x.size == 3
        ),
        tree,
    ),
    "iter_modules:containers": lambda nnx: kinds(
        nnx,
        nnx.iter_modules(
            nnx.Dict(a=nnx.List([make_block(nnx)]), b=nnx.Dict(c=make_block(nnx)))
        ),
    ),
    "merge:alone": lambda nnx: nnx.merge(nnx.graphdef(make_block(nnx))),
    "merge:round-trip": lambda nnx: merged(nnx, make_net(nnx)),
    "merge:several-states": lambda nnx: merged(nnx, make_net(nnx), nnx.Param, ...),
    "merge:keeps-ties": lambda nnx: shared(nnx, lambda n: merged(n, make_net(n))),
    "merge:cycle": lambda nnx: (a := merged(nnx, make_cycle(nnx))).peer.peer is a,
    "merge:variable": lambda nnx: merged(nnx, nnx.Param(arange(2), note="n")),
    "merge:tuple": lambda nnx: merged(nnx, (make_block(nnx), arange(2))),
    "merge:numpy-values": merged_from_numpy,
    "merge:shares": lambda nnx: shared_with(nnx, lambda b: merged(nnx, b)),
    "merge:copies": lambda nnx: shared_with(
        nnx, lambda b: nnx.merge(*nnx.split(b), copy=True)
    ),
    "merge:other-type": lambda nnx: (
        type(
            nnx.merge(
                nnx.graphdef(v := nnx.Param(arange(2))), nnx.BatchStat(v.get_value())
            )
        ).__name__
    ),
    "merge:values-as-they-are": lambda nnx: (
        type(
            nnx.merge(
                *nnx.split(nnx.Param(arange(2)))[:1],
                arange(3),
                recreate_variables=False,
            )
        ).__name__
    ),
    "merge:graph-states": lambda nnx: nnx.merge(
        *nnx.unpack(make_net(nnx), nnx.Param, ...)
    ),
    "unpack:all": lambda nnx: nnx.merge(nnx.unpack(make_block(nnx))),
    "to_tree:ties": lambda nnx: (
        (t := nnx.from_tree(nnx.to_tree([b := make_block(nnx), b])))[0] is t[1]
    ),
    "to_tree:leaves": lambda nnx: jax.tree.leaves(nnx.to_tree({"a": make_net(nnx)})),
    "from_tree:net": lambda nnx: nnx.from_tree(nnx.to_tree({"a": make_net(nnx)})),
    "merge:pure-dict": lambda nnx: nnx.merge(
        nnx.graphdef(make_block(nnx)), nnx.to_pure_dict(nnx.state(make_block(nnx)))
    ).kernel.get_value(),
    "merge:recreate_variables": merged_keeps,
    "merge:copy": merged_is_fresh,
    "merge:no-graphdef": lambda nnx: nnx.merge(nnx.state(make_block(nnx))),
    "merge:missing": lambda nnx: nnx.merge(nnx.graphdef(make_net(nnx)), nnx.State({})),
    "state:all": lambda nnx: nnx.state(make_net(nnx)),
    "state:one-filter": lambda nnx: nnx.state(make_net(nnx), nnx.Param),
    "state:two-filters": lambda nnx: nnx.state(make_net(nnx), nnx.Param, nnx.BatchStat),
    "state:selects-nothing": lambda nnx: nnx.state(make_net(nnx), nnx.RngState),
    "state:shares-variables": lambda nnx: (
        nnx.state(b := make_block(nnx))["kernel"] is b.kernel
    ),
    "state:cycle": lambda nnx: nnx.state(make_cycle(nnx)),
    "state:list": lambda nnx: nnx.state([make_block(nnx), make_block(nnx)]),
    "update:zeros": lambda nnx: edited(
        nnx, lambda n, net: n.update(net, zeros(n, net))
    ),
    "update:two-states": lambda nnx: edited(nnx, update_two),
    "update:pure-dict": lambda nnx: edited(
        nnx, lambda n, net: n.update(net, n.to_pure_dict(zeros(n, net)))
    ),
    "update:bare-array": lambda nnx: edited(
        nnx, lambda n, net: n.update(net, n.State({"table": jnp.ones(4)}))
    ),
    "update:metadata": lambda nnx: edited(nnx, update_metadata),
    "update:variable": lambda nnx: edited(
        nnx,
        lambda n, v: n.update(v, n.Param(jnp.ones(2))),
        lambda n: n.Param(arange(2)),
    ),
    "update:variable-array": lambda nnx: edited(
        nnx, lambda n, v: n.update(v, jnp.ones(2)), lambda n: n.Param(arange(2))
    ),
    "pop:type": lambda nnx: popped(nnx, nnx.BatchStat),
    "pop:two-filters": lambda nnx: popped(nnx, nnx.BatchStat, nnx.PathContains("bias")),
    "pop:shared": lambda nnx: popped(nnx, nnx.PathContains("tied")),
    "pop:array": lambda nnx: popped(nnx, nnx.PathContains("table")),
    "pop:nothing": lambda nnx: popped(nnx, nnx.RngState),
    "pop:no-filter": lambda nnx: popped(nnx),
    "clone:equal": lambda nnx: nnx.clone(make_net(nnx)),
    "clone:ties": lambda nnx: shared(nnx, lambda n: n.clone(make_net(n))),
    "clone:new-variables": lambda nnx: shared_variables(nnx),
    "clone:same-variables": lambda nnx: shared_variables(nnx, variables=False),
    "clone:arrays": lambda nnx: shared_variables(nnx, arrays=True),
    "clone:arrays-without-variables": lambda nnx: shared_variables(
        nnx, variables=False, arrays=True
    ),
    "clone:variable": lambda nnx: nnx.clone(nnx.Param(arange(2), note="n")),
    "clone:list": lambda nnx: nnx.clone([make_block(nnx), arange(2)]),
    "graphdef:same": same_graphdef,
    "graphdef:other-static": lambda nnx: same_graphdef(
        nnx, lambda b: setattr(b, "features", 4)
    ),
    "graphdef:other-value": lambda nnx: same_graphdef(
        nnx, lambda b: b.mean.set_value(jnp.ones(3))
    ),
    "graphdef:of-clone": lambda nnx: (
        nnx.graphdef(net := make_net(nnx)) == nnx.graphdef(nnx.clone(net))
    ),
    "graphdef:hash": lambda nnx: (
        hash(nnx.graphdef(net := make_block(nnx))) == hash(nnx.graphdef(nnx.clone(net)))
    ),
    "iter_graph:net": lambda nnx: kinds(nnx, nnx.iter_graph(make_net(nnx))),
    "iter_graph:cycle": lambda nnx: kinds(nnx, nnx.iter_graph(make_cycle(nnx))),
    "iter_graph:list-twice": lambda nnx: kinds(
        nnx, nnx.iter_graph([b := make_block(nnx), b])
    ),
    "iter_graph:variable": lambda nnx: nnx.iter_graph(nnx.Param(arange(1))),
    "iter_children:names": lambda nnx: [k for k, _ in nnx.iter_children(make_net(nnx))],
    "iter_children:list": lambda nnx: [
        k for k, _ in nnx.iter_children(make_net(nnx).layers)
    ],
    "iter_module_children:names": lambda nnx: [
        k for k, m in nnx.iter_module_children(make_cycle(nnx))
    ],
    "iter_modules:cycle": lambda nnx: kinds(nnx, nnx.iter_modules(make_cycle(nnx))),
    "iter_modules:each-once": lambda nnx: kinds(
        nnx, nnx.iter_modules([b := make_block(nnx), b])
    ),
    "recursive_map:identity": lambda nnx: nnx.recursive_map(
        lambda path, x: x, make_net(nnx)
    ),
    "recursive_map:paths": recursive_paths,
    "recursive_map:replace-variables": lambda nnx: nnx.recursive_map(
        lambda path, x: double(path, x) if isinstance(x, nnx.Param) else x,
        make_net(nnx),
    ),
    "recursive_map:static": lambda nnx: nnx.recursive_map(
        lambda path, x: 7 if path == ("features",) else x, make_block(nnx)
    ),
    "recursive_map:pytree": lambda nnx: nnx.recursive_map(
        lambda path, x: double(path, x) if isinstance(x, nnx.Param) else x,
        nnx.List([make_block(nnx), make_block(nnx)]),
    ),
    "find_duplicates:net": lambda nnx: nnx.find_duplicates(make_net(nnx)),
    "find_duplicates:modules": lambda nnx: nnx.find_duplicates(
        nnx.List([b := make_block(nnx), make_block(nnx), b])
    ),
    "find_duplicates:only": lambda nnx: nnx.find_duplicates(
        [b := make_block(nnx), b, v := nnx.Param(arange(1)), v], only=nnx.Param
    ),
    "find_duplicates:cycle": lambda nnx: nnx.find_duplicates(make_cycle(nnx)),
    "find_duplicates:none": lambda nnx: nnx.find_duplicates(make_block(nnx)),
    "map:double": lambda nnx: nnx.map(double, make_net(nnx)),
    "map:to-abstract": lambda nnx: nnx.map(
        lambda p, v: v.replace(jnp.shape(v.get_value())), make_block(nnx)
    ),
    "map:paths": lambda nnx: nnx.map(
        lambda p, v: v.replace(".".join(p) == "kernel"), make_block(nnx)
    ),
    "map:variable": lambda nnx: nnx.map(double, nnx.Param(arange(2))),
    "map:shares": lambda nnx: shared_with(
        nnx, lambda b: nnx.map(lambda p, leaf: leaf, b)
    ),
    "map:arrays": lambda nnx: (
        jax.tree.map(
            type,
            nnx.map(
                lambda p, v: v.get_value(), make_block(nnx), recreate_variables=False
            ).kernel,
        ).__name__
    ),
    "map:keep-variables": lambda nnx: (
        nnx.map(lambda p, v: v, b := make_block(nnx), recreate_variables=False).kernel
        is b.kernel
    ),
    "variables:all": lambda nnx: nnx.variables(make_block(nnx)),
    "variables:filters": lambda nnx: nnx.variables(
        make_net(nnx), nnx.Param, nnx.BatchStat
    ),
    "set_metadata:all": lambda nnx: set_note(nnx),
    "set_metadata:only": lambda nnx: set_note(nnx, only=nnx.BatchStat),
    "with_attributes:all": deterministic,
    "with_attributes:only": lambda nnx: deterministic(
        nnx, only=nnx.PathContains("heads")
    ),
    "with_attributes:unknown": lambda nnx: nnx.with_attributes(
        make_net(nnx), no_such_name=1
    ),
    "with_attributes:unknown-allowed": lambda nnx: nnx.with_attributes(
        make_block(nnx), no_such_name=1, raise_if_not_found=False
    ),
    "register_data_type:is_data": lambda nnx: nnx.is_data(
        nnx.register_data_type(type("Leaf", (), {}))()
    ),
    "jax.tree.map:state": lambda nnx: jax.tree.map(
        lambda x: x * 2, nnx.state(make_net(nnx))
    ),
    "jax.tree.map:module": lambda nnx: jax.tree.map(lambda x: x * 2, make_block(nnx)),
    "jax.tree.leaves:state": lambda nnx: jax.tree.leaves(nnx.state(make_net(nnx))),
    "jax.tree.leaves:module": lambda nnx: jax.tree.leaves(make_block(nnx)),
}


@pytest.mark.parametrize("case", VERBS.values(), ids=VERBS)
def test_verb_does_as_in_flax(case):
    assert_same(case)


def numbered(nnx):
    return nnx.State({"layers": {0: {"w": nnx.Param(arange(2))}, 10: {"w": arange(1)}}})


def restored(nnx):
    return nnx.to_pure_dict(numbered(nnx))


def replaced(nnx, new, **kwargs):
    state = nnx.state(make_net(nnx), nnx.Param)
    nnx.replace_by_pure_dict(state, new, **kwargs)
    return state


def set_item(nnx, state):
    state["bias"] = nnx.Param(jnp.ones(1))
    state.extra = {"deep": nnx.Param(arange(1))}
    del state["layers"]
    return state, "extra" in state, len(state), list(state), state.extra["deep"]


def params(nnx):
    return nnx.state(make_net(nnx), nnx.Param)


STATES = {
    "State:from-dict": lambda nnx: nnx.State({"a": {"b": arange(1)}, 0: arange(2)}),
    "State:from-pairs": lambda nnx: nnx.State([("a", arange(1)), ("b", {"c": 1})]),
    "State:nested-item": lambda nnx: type(params(nnx)["layers"]).__name__,
    "State:attribute": lambda nnx: params(nnx).layers[0].kernel,
    "State:attribute-missing": lambda nnx: params(nnx).no_such_name,
    "State:item-missing": lambda nnx: params(nnx)["no_such_name"],
    "State:edit": lambda nnx: set_item(nnx, params(nnx)),
    "State:or": lambda nnx: params(nnx) | nnx.state(make_net(nnx), nnx.BatchStat),
    "State:sub": lambda nnx: nnx.state(make_net(nnx)) - params(nnx),
    "State:or-empty": lambda nnx: params(nnx) | nnx.State({}),
    "State:raw_mapping": lambda nnx: list(params(nnx).raw_mapping),
    "State:flat_state": lambda nnx: params(nnx).flat_state(),
    "State:from_flat_path": lambda nnx: nnx.State.from_flat_path(
        {("a", "b"): 1, ("c",): 2}
    ),
    "State:to_pure_dict": lambda nnx: params(nnx).to_pure_dict(),
    "State:replace_by_pure_dict": lambda nnx: (
        s := params(nnx),
        s.replace_by_pure_dict({"bias": jnp.ones(3)}),
    ),
    "State:map": lambda nnx: params(nnx).map(double),
    "State:filter": lambda nnx: nnx.state(make_net(nnx)).filter(nnx.BatchStat),
    "State:filter-two": lambda nnx: nnx.state(make_net(nnx)).filter(
        nnx.BatchStat, nnx.Cache
    ),
    "State:split": lambda nnx: nnx.state(make_net(nnx)).split(nnx.Param, ...),
    "State:split-remainder": lambda nnx: nnx.state(make_net(nnx)).split(nnx.Param),
    "State:merge": lambda nnx: nnx.State.merge(
        params(nnx), nnx.state(make_net(nnx), nnx.Cache)
    ),
    "State:items": lambda nnx: sorted(params(nnx).keys()),
    "State:pickle": lambda nnx: pickle.loads(
        pickle.dumps(nnx.state(make_block(nnx), nnx.Param))
    ),
    "FlatState:sort": lambda nnx: nnx.FlatState([(("b",), 1), (("a",), 2)], sort=True),
    "FlatState:no-sort": lambda nnx: nnx.FlatState(
        [(("b",), 1), (("a",), 2)], sort=False
    ),
    "FlatState:paths": lambda nnx: nnx.to_flat_state(params(nnx)).paths,
    "FlatState:leaves": lambda nnx: list(nnx.to_flat_state(params(nnx)).leaves),
    "FlatState:item": lambda nnx: nnx.to_flat_state(params(nnx))[1],
    "FlatState:slice": lambda nnx: nnx.to_flat_state(params(nnx))[1:3],
    "FlatState:len": lambda nnx: len(nnx.to_flat_state(params(nnx))),
    "FlatState:split": lambda nnx: nnx.to_flat_state(params(nnx)).split(
        nnx.PathContains("bias"), ...
    ),
    "FlatState:filter": lambda nnx: nnx.to_flat_state(params(nnx)).filter(
        nnx.PathContains("bias")
    ),
    "FlatState:merge": lambda nnx: nnx.FlatState.merge(
        nnx.to_flat_state(params(nnx))[2:], nnx.to_flat_state(params(nnx))[:2]
    ),
    "FlatState:to_nested_state": lambda nnx: nnx.to_flat_state(
        params(nnx)
    ).to_nested_state(),
    "FlatState:tree-map": lambda nnx: jax.tree.map(
        lambda x: x + 1, nnx.to_flat_state(params(nnx))
    ),
    "to_flat_state:numbers-in-order": lambda nnx: nnx.to_flat_state(numbered(nnx)),
    "from_flat_state:flat": lambda nnx: nnx.from_flat_state(
        nnx.to_flat_state(params(nnx))
    ),
    "from_flat_state:mapping": lambda nnx: nnx.from_flat_state(
        {("a", 0): 1, ("b",): 2}
    ),
    "from_flat_state:cls": lambda nnx: nnx.from_flat_state({("a", 0): 1}, cls=dict),
    "to_pure_dict:net": lambda nnx: nnx.to_pure_dict(nnx.state(make_net(nnx))),
    "to_pure_dict:extract_fn": lambda nnx: nnx.to_pure_dict(
        params(nnx), lambda v: v.shape
    ),
    "to_pure_dict:is-dict": lambda nnx: type(nnx.to_pure_dict(params(nnx))["layers"]),
    "replace_by_pure_dict:part": lambda nnx: replaced(nnx, {"bias": jnp.ones(3)}),
    "replace_by_pure_dict:text-keys": lambda nnx: replaced(
        nnx, {"layers": {"1": {"kernel": jnp.ones((2, 3))}}}
    ),
    "replace_by_pure_dict:unknown": lambda nnx: replaced(nnx, {"nope": jnp.ones(3)}),
    "replace_by_pure_dict:replace_fn": lambda nnx: replaced(
        nnx, {"bias": jnp.ones(3)}, replace_fn=lambda old, new: old.replace(new + 1)
    ),
    "restore_int_paths:all": lambda nnx: nnx.restore_int_paths(
        {"a": {"0": {"b": 1}, "-1": 2, "x1": 3}, "7": 4}
    ),
    "restore_int_paths:round-trip": lambda nnx: nnx.restore_int_paths(restored(nnx)),
    "filter_state:one": lambda nnx: nnx.filter_state(params(nnx), nnx.PathContains(0)),
    "filter_state:two": lambda nnx: nnx.filter_state(
        nnx.state(make_net(nnx)), nnx.Param, nnx.Cache
    ),
    "merge_state:two": lambda nnx: nnx.merge_state(
        params(nnx), nnx.state(make_net(nnx), nnx.BatchStat)
    ),
    "merge_state:last-wins": lambda nnx: nnx.merge_state(
        nnx.State({"a": 1, "b": 2}), nnx.State({"a": 3})
    ),
    "merge_state:dicts": lambda nnx: nnx.merge_state({"a": {"b": 1}}, {"a": {"c": 2}}),
    "merge_state:cls": lambda nnx: (
        type(nnx.merge_state({"a": 1}, {"b": 2}, cls=dict)).__name__
    ),
    "split_state:two": lambda nnx: nnx.split_state(
        nnx.state(make_net(nnx)), nnx.Param, ...
    ),
    "split_state:remainder": lambda nnx: nnx.split_state(
        nnx.state(make_net(nnx)), nnx.Param, nnx.Cache
    ),
    "map_state:paths": lambda nnx: nnx.map_state(
        lambda path, leaf: ".".join(map(str, path)), params(nnx)
    ),
}


@pytest.mark.parametrize("case", STATES.values(), ids=STATES)
def test_state_does_as_in_flax(case):
    assert_same(case)


FILTERS = {
    "All:two": lambda nnx: nnx.All(nnx.Param, nnx.PathContains("kernel")),
    "All:none": lambda nnx: nnx.All(),
    "Any:two": lambda nnx: nnx.Any(nnx.Cache, nnx.PathContains("bias")),
    "Any:none": lambda nnx: nnx.Any(),
    "Not:type": lambda nnx: nnx.Not(nnx.Param),
    "Not:nested": lambda nnx: nnx.Not(nnx.Any(nnx.Param, nnx.Not(nnx.BatchStat))),
    "OfType:variable": lambda nnx: nnx.OfType(nnx.BatchStat),
    "OfType:base": lambda nnx: nnx.OfType(nnx.Variable),
    "OfType:array": lambda nnx: nnx.OfType(jax.Array),
    "PathContains:name": lambda nnx: nnx.PathContains("kernel"),
    "PathContains:number": lambda nnx: nnx.PathContains(1),
    "PathContains:part": lambda nnx: nnx.PathContains("ker", exact=False),
    "PathContains:part-exact": lambda nnx: nnx.PathContains("ker"),
    "PathContains:number-inexact": lambda nnx: nnx.PathContains(1, exact=False),
    "WithTag:tag": lambda nnx: nnx.WithTag("dropout"),
    "Everything:all": lambda nnx: nnx.Everything(),
    "Nothing:none": lambda nnx: nnx.Nothing(),
    "type:param": lambda nnx: nnx.Param,
    "type:base": lambda nnx: nnx.RngState,
    "string:tag": lambda nnx: "dropout",
    "string:unknown": lambda nnx: "no such tag",
    "callable:path": lambda nnx: lambda path, x: len(path) == 2,
    "callable:value": lambda nnx: lambda path, x: hasattr(x, "note"),
    "ellipsis:all": lambda nnx: ...,
    "true:all": lambda nnx: True,
    "none:none": lambda nnx: None,
    "false:none": lambda nnx: False,
    "tuple:any": lambda nnx: (nnx.Cache, "dropout"),
    "list:any": lambda nnx: [nnx.Cache, nnx.BatchStat],
    "tuple:empty": lambda nnx: (),
    "number:no-filter": lambda nnx: 3,
}


def make_tagged(nnx):
    net = make_net(nnx)
    net.rngs = nnx.Rngs(params=0, dropout=1)
    return net


@pytest.mark.parametrize("make", FILTERS.values(), ids=FILTERS)
def test_filter_selects_the_same_paths(make):
    assert_same(
        lambda nnx: nnx.to_flat_state(nnx.state(make_tagged(nnx), make(nnx))).paths
    )


@pytest.mark.parametrize("make", FILTERS.values(), ids=FILTERS)
def test_filter_splits_the_same(make):
    assert_same(lambda nnx: nnx.split(make_tagged(nnx), make(nnx), ...)[1:])


@pytest.mark.parametrize(
    "make", [pytest.param(f, id=k) for k, f in FILTERS.items() if k[0].isupper()]
)
def test_equal_filters_are_equal_and_hash_alike(make):
    def case(nnx):
        one, other = make(nnx), make(nnx)
        return one == other, hash(one) == hash(other), one == nnx.WithTag("other")

    assert_same(case)


NAMES = """
    split merge state update pop clone graphdef iter_graph iter_children iter_modules
    recursive_map find_duplicates map variables set_metadata with_attributes State
    FlatState to_flat_state from_flat_state to_pure_dict replace_by_pure_dict
    restore_int_paths filter_state merge_state split_state map_state All Any Not OfType
    PathContains WithTag Everything Nothing iter_module_children register_data_type
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_has_a_row(name):
    rows = [*VERBS, *STATES, *FILTERS]
    assert any(row.split(":")[0] == name for row in rows)
    assert hasattr(oakum, name)
    assert hasattr(flax_nnx, name)


def test_recursive_map_leaves_the_graph_as_it_was():
    """Flax writes the new value into the Variable that both graphs share."""
    block = make_block(oakum)
    new = oakum.recursive_map(
        lambda p, x: oakum.Param(arange(1)) if p == ("kernel",) else x, block
    )
    assert block.kernel.shape == (2, 3)
    assert new.kernel.shape == (1,)
    assert new.mean is block.mean


def test_recursive_map_follows_a_cycle():
    """Flax raises on a cycle."""
    a = oakum.recursive_map(lambda path, x: x, make_cycle(oakum))
    assert a.peer.peer is a


def test_recursive_map_rebuilds_tuples():
    """Flax raises where a child of a tuple is replaced."""
    new = oakum.recursive_map(
        lambda p, x: "new" if p == ("pair", 0) else x, make_net(oakum)
    )
    assert new.pair[0] == "new"


def test_a_state_deep_copies_to_a_state():
    """Flax puts bare arrays in the place of Variables."""
    state = params(oakum)
    new = copy.deepcopy(state)
    assert plain(oakum, new) == plain(oakum, state)
    assert new["bias"] is not state["bias"]


def test_a_popped_variable_leaves_no_alias_behind():
    """Flax removes it at its first path alone."""
    net = make_net(oakum)
    state = oakum.pop(net, oakum.Param)
    assert not hasattr(net, "tied")
    assert "tied" not in state


def test_programs_do_not_depend_on_each_other():
    first, second = make_net(oakum), make_net(oakum)
    assert plain(oakum, first) == plain(oakum, second)
