"""jit(f).explain(): why the last trace happened, in words."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import oakum as nnx
from tests.models import Pair


class Alike:
    def __repr__(self):
        return "it"


def make():
    @nnx.jit
    def step(model, x, *, scale=None):
        return jax.tree.map(lambda x: x * model.a.value[0], x)

    return step


def test_before_any_call():
    assert make().explain() == "step was not traced yet."


def test_after_one_trace_and_many_calls():
    step, model = make(), Pair()
    for _ in range(3):
        step(model, 1.0)
    assert step.explain() == "step was traced once, by its first call."


def shape_of_a_parameter(model):
    model.a.value = jnp.ones(5)


def other_list(model):
    model.items.append(nnx.Param(jnp.ones(1)))


def swap(model):
    model.b = model.a


def other_type(model):
    model.b = nnx.BatchStat(model.b.value)


def retyped(model):
    model.b.set_metadata(frozen=True)


MODELS = {
    "attribute": (lambda m: setattr(m, "mode", "eval"), "model.mode: 'eval', was 'tr"),
    "new-attribute": (lambda m: setattr(m, "extra", 1), "model.extra: 1, which was no"),
    "shape": (shape_of_a_parameter, "model.a: Param float32[5], was Param float32[3]"),
    "list": (other_list, "model.items[2]: Param float32[1], which was not there"),
    "shared": (swap, "model.b: the same object as model.a, was Param float32[3]"),
    "kind": (other_type, "model.b: BatchStat float32[3] (weakly typed), was P"),
    "metadata": (retyped, "model.b metadata 'frozen': True, which was not there"),
    "gone": (lambda m: delattr(m, "mode"), "model.mode: is gone, was 'train'"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_changed_model_is_named_by_path(case):
    change, expected = MODELS[case]
    step, model = make(), Pair()
    step(model, 1.0)
    change(model)
    step(model, 1.0)
    lines = step.explain().splitlines()
    assert lines[0] == (
        "step was traced 2 times. The last differs from trace 1, the nearest, in:"
    )
    assert expected in lines[1]
    assert len(lines) == 2


def test_a_class_of_another_model_is_named():
    class Other(Pair):
        pass

    step = make()
    step(Pair(), 1.0)
    step(Other(), 1.0)
    assert step.explain().splitlines()[1:] == ["  model: Other, was Pair"]


ARRAYS = {
    "shape": (jnp.ones(2), jnp.ones(3), "x: float32[3], was float32[2]"),
    "dtype": (jnp.ones(2), jnp.ones(2, jnp.bfloat16), "x: bfloat16[2], was float32[2]"),
    "number": (jnp.ones(()), 1.0, "x: float32[] of a Python number, was float32[]"),
    "leaf": ({"a": 1.0}, {"a": jnp.ones(2)}, "x['a']: float32[2], was float32[] of"),
    "key": ({"a": 1.0}, {"b": 1.0}, "x: PyTreeDef({'b': *}), was PyTreeDef({'a': *})"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_another_array_is_named(case):
    first, second, expected = ARRAYS[case]
    step, model = make(), Pair()
    step(model, first)
    step(model, second)
    assert f"  {expected}" in step.explain()


def test_a_static_argument_is_named_with_both_values():
    power = nnx.jit(lambda x, n: x**n, static_argnums=1)
    power(2.0, 2)
    power(2.0, 3)
    assert power.explain().splitlines()[1:] == ["  n: 3, was 2"]


def test_a_keyword_is_named():
    step, model = make(), Pair()
    step(model, 1.0)
    step(model, 1.0, scale=2.0)
    assert "scale: float32[] of a Python number, which was not there" in step.explain()


def test_a_captured_model_is_named():
    model = Pair()
    step = nnx.jit(lambda x: x if model.mode == "train" else -x)
    step(1.0)
    model.mode = "eval"
    step(1.0)
    assert "captured[0].mode: 'eval', was 'train'" in step.explain()


def test_another_hyperparameter_is_named():
    step = nnx.jit(lambda optimizer, grads: optimizer.update(grads))
    for rate in (0.1, 0.2):
        model = Pair()
        optimizer = nnx.ModelAndOptimizer(model, optax.sgd(rate))
        step(optimizer, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    text = step.explain()
    assert "optimizer.tx.update" in text
    assert "step_size: -0.2, was -0.1" in text


STATICS = {
    "lambda": (lambda x: x, lambda x: -x, "act: <lambda> at test_explain.py:"),
    "tuple": ((1, 2), (1, 3), "act[1]: 3, was 2"),
    "dict": ({"a": 1}, {"a": 1, "b": 2}, "act['b']: 2, which was not there"),
    "partial": (partial(max, 1), partial(max, 2), "act.args[0]: 2, was 1"),
    "function": (jnp.sin, jnp.cos, "act: cos, was sin"),
    "alike": (Alike(), Alike(), "act: it, another that prints the same"),
    "kind": (1, True, "act: True, was 1"),
}


@pytest.mark.parametrize("case", STATICS)
def test_a_static_value_is_taken_apart(case):
    first, second, expected = STATICS[case]
    step, model = make(), Pair()
    for value in (first, second):
        model.act = nnx.static(value)
        step(model, 1.0)
    assert f"model.{expected}" in step.explain()


def test_the_nearest_of_several_traces_is_compared():
    step, model = make(), Pair()
    step(model, jnp.ones(2))
    model.mode = "eval"
    step(model, jnp.ones(2))
    step(model, jnp.ones(3))
    lines = step.explain().splitlines()
    assert "traced 3 times" in lines[0]
    assert "trace 2" in lines[0]
    assert lines[1:] == ["  x: float32[3], was float32[2]"]


def test_a_mesh_is_named():
    step, model = make(), Pair()
    mesh = Mesh(jax.devices()[:1], ("data",), axis_types=(AxisType.Explicit,))
    step(model, jnp.ones(2))
    spec = PartitionSpec("data")
    x = jax.device_put(jnp.ones(2), NamedSharding(mesh, spec))
    step(model, x)
    wanted = f"x: float32[2] on a mesh (data: 1), {spec}, was float32[2]"
    assert wanted in step.explain()
    with jax.set_mesh(mesh):
        step(model, x)
    assert "jax.set_mesh: mesh (data: 1), was no mesh" in step.explain()


def test_after_clear_cache_it_says_so():
    step, model = make(), Pair()
    step(model, 1.0)
    step.clear_cache()
    step(model, 1.0)
    assert "clear_cache" in step.explain()


def test_a_long_list_is_cut():
    step = make()
    step(Pair(), {f"k{i}": jnp.ones(1) for i in range(30)})
    step(Pair(), {f"k{i}": jnp.ones(2) for i in range(30)})
    assert step.explain().splitlines()[-1] == "  and 10 more"


def test_explaining_keeps_no_array_alive():
    step, model = make(), Pair()
    step(model, jnp.ones(2))
    records = step.explain.__self__._records
    assert not any(
        isinstance(leaf, jax.Array) for r in records for leaf in jax.tree.leaves(r[1])
    )


def test_empty_and_nested_arguments_are_recorded():
    step = nnx.jit(lambda m, x, rest: m(x))
    step(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.ones((1, 2)), ((), {"a": [1.0, None]}))
    assert "first" in step.explain()
