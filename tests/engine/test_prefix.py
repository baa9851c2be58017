"""prefix: axes chosen leaf by leaf, for what `in_axes` and `out_axes` take."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import pytest

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
        (model, {"x": jnp.ones(2)}, model),
        lambda path, leaf: seen.append(path) or (1 if "w" in path else None),
    )
    assert axes[0] == axes[2]
    assert axes[1] == {"x": None}
    assert isinstance(axes[0], nnx.StateAxes)
    assert [axes[0].select(("w",), None), axes[0].select(("total",), None)] == [1, None]
    assert seen[:4] == [(0, "layers", 0), (0, "total"), (0, "w"), (1, "x")]


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
