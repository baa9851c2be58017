"""prefix: axes chosen leaf by leaf, for what `in_axes` and `out_axes` take."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import FilterError


@functools.cache
def scale_class(lib: Any) -> Any:
    class Scale(lib.Module):
        def __init__(self):
            self.w = lib.Param(jnp.arange(3.0))
            self.total = lib.BatchStat(jnp.ones(2))
            self.layers = lib.List([lib.Param(jnp.arange(3.0))])

        def __call__(self, x):
            return (self.w * x + self.layers[0]).sum() + self.total.sum()

    return Scale


def pairs(lib: Any) -> Any:
    return {"a": lib.Param(jnp.array(2)), "b": lib.BatchStat(jnp.arange(5))}


def by_name(path: Any, leaf: Any) -> Any:
    return None if "a" in path else 0


def of_pairs(filter_map: Any) -> Any:
    def run(lib: Any, **mode: Any) -> Any:
        axes = lib.prefix(pairs(lib), filter_map(lib), **mode)
        mapped = lib.vmap(lambda d: d["a"] * d["b"], in_axes=(axes,), **mode)
        return axes, mapped(pairs(lib)).tolist()

    return run


def of_module(lib: Any, **mode: Any) -> Any:
    model = scale_class(lib)()
    axes = lib.prefix(model, {lib.Param: 0, ...: None}, **mode)
    mapped = lib.vmap(lambda m, x: m(x), in_axes=(axes, None), **mode)
    return mapped(model, jnp.array(2.0)).tolist()


CASES = {
    "mapping": of_pairs(lambda lib: {lib.Param: None, lib.BatchStat: 0}),
    "function": of_pairs(lambda lib: by_name),
    "module": of_module,
}


@pytest.mark.peer
@pytest.mark.parametrize("name", CASES)
def test_a_mapped_call_gives_what_it_gives_in_flax(name):
    flax = pytest.importorskip("flax.nnx")
    assert CASES[name](nnx) == CASES[name](flax, graph=False)


def test_an_object_gets_axes_by_path():
    model = scale_class(nnx)()
    seen = []
    axes = nnx.prefix(
        (model, {"x": jnp.ones(2)}),
        lambda path, leaf: seen.append(path) or (1 if "w" in path else None),
    )
    assert (axes[0].w, axes[0].total, axes[0].layers[0]) == (1, None, None)
    assert axes[1] == {"x": None}
    assert seen == [(0, "layers", 0), (0, "total"), (0, "w"), (1, "x")]


@pytest.mark.parametrize("vmap", [jax.vmap, nnx.vmap], ids=["jax", "nnx"])
def test_what_jax_maps_a_model_by_is_of_its_form(vmap):
    model = scale_class(nnx)()
    axes = nnx.prefix(model, {nnx.Param: 0, ...: None})
    out = vmap(lambda m, x: m(x), in_axes=(axes, None))(model, jnp.array(2.0))
    assert out.tolist() == [2.0, 5.0, 8.0]
    axes.layers[0] = None  # an edit of the prefix is seen
    out = jax.vmap(lambda m: m.layers[0].shape[0] * m.w, in_axes=(axes,))(model)
    assert out.tolist() == [0.0, 3.0, 6.0]


def test_leaves_that_are_put_in_place_of_variables_stay_leaves():
    model = scale_class(nnx)()
    ranks = jax.tree.map(
        lambda v: v.ndim + 1, model, is_leaf=lambda x: isinstance(x, nnx.Variable)
    )
    assert jax.tree.leaves(ranks) == [2, 2, 2]
    assert jax.tree.map(lambda a, b: a + b, ranks, ranks).total == 4


def test_jit_and_shard_map_take_a_prefix_of_shardings():
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    model = nnx.Linear(2, 4, rngs=nnx.Rngs(0))
    specs = nnx.prefix(model, {nnx.PathContains("bias"): P("x"), ...: P(None, "x")})
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    assert [s.spec for s in jax.tree.leaves(shardings)] == [P("x"), P(None, "x")]
    for jit in (jax.jit, nnx.jit):
        made = jit(lambda m: nnx.clone(m), out_shardings=shardings)(model)
        assert made.kernel.sharding.spec == P(None, "x")
    split = nnx.shard_map(
        lambda m, x: m(x), mesh=mesh, in_specs=(specs, P()), out_specs=P(None, "x")
    )
    assert jnp.allclose(split(model, jnp.ones((1, 2))), model(jnp.ones((1, 2))))


def test_results_are_put_together_by_it():
    axes = nnx.prefix(scale_class(nnx)(), {nnx.Param: 1, ...: 0})

    @nnx.vmap(axis_size=4, in_axes=None, out_axes=axes)
    def make():
        return scale_class(nnx)()

    made = make()
    assert (made.w.shape, made.layers[0].shape, made.total.shape) == (
        (3, 4),
        (3, 4),
        (4, 2),
    )


def test_a_leaf_without_an_axis_is_named():
    with pytest.raises(
        FilterError, match=r"filter for b \(BatchStat\)(?s:.*)\.\.\.: None"
    ):
        nnx.prefix(pairs(nnx), {nnx.Param: 0})
