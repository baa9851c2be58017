"""`update` takes any part of a graph, and refuses what is nearly always a mistake."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import StructureError


class Model(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        self.cache = nnx.Cache(jnp.zeros(2))
        self.count = nnx.Variable(jnp.zeros((), jnp.int32))
        self.layers = [nnx.Param(0.0), nnx.Param(0.0)]
        self.table = jnp.zeros(2)
        self.pytree = nnx.Param({"w": jnp.zeros(2), "b": jnp.zeros(1)})


PARTS = {
    "path": ({"linear": {"bias": jnp.ones(3)}}, lambda m: m.linear.bias, [1, 1, 1]),
    "cache-shape": ({"cache": jnp.ones((1, 3))}, lambda m: m.cache, [[1, 1, 1]]),
    "number": ({"count": 7}, lambda m: m.count, 7),
    "list": ({"layers": {1: 5.0}}, lambda m: m.layers[1], 5.0),
    "bare-array": ({"table": jnp.ones(3)}, lambda m: m.table, [1, 1, 1]),
    "numpy": ({"linear": {"bias": np.ones(3)}}, lambda m: m.linear.bias, [1, 1, 1]),
    "dtype": (
        {"linear": {"bias": jnp.ones(3, jnp.bfloat16)}},
        lambda m: m.linear.bias,
        jnp.ones(3, jnp.bfloat16),
    ),
    "new": ({"more": nnx.Param(jnp.ones(2))}, lambda m: m.more, [1, 1]),
    "new-below": (
        {"linear": {"scale": nnx.Param(jnp.ones(2))}},
        lambda m: m.linear.scale,
        [1, 1],
    ),
    "pytree": (
        {"pytree": {"w": jnp.ones(2), "b": jnp.ones(1)}},
        lambda m: m.pytree["b"],
        [1],
    ),
    "empty": ({"linear": {}}, lambda m: m.count, 0),
}


@pytest.mark.parametrize(("part", "read", "expected"), PARTS.values(), ids=PARTS)
def test_update_takes_any_part(part, read, expected):
    model = Model()
    kernel = model.linear.kernel.value
    nnx.update(model, part)
    np.testing.assert_array_equal(read(model), expected)
    assert model.linear.kernel.value is kernel


def test_a_number_keeps_the_dtype_that_was_there():
    model = Model()
    nnx.update(model, {"count": 7})
    assert model.count.dtype == jnp.int32
    nnx.update(model, {"count": 7.5})
    assert model.count.dtype == jnp.float32


def test_a_model_is_cast_in_place():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.state(model))
    nnx.update(model, half)
    assert {v.dtype for _, v in nnx.state(model).flat_state()} == {
        jnp.dtype("bfloat16")
    }


def test_a_step_runs_on_what_was_cast():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    forward = nnx.jit(lambda model, x: model(x))
    forward(model, jnp.ones((1, 2)))
    nnx.update(model, jax.tree.map(lambda x: x.astype(jnp.bfloat16), nnx.state(model)))
    assert forward(model, jnp.ones((1, 2), jnp.bfloat16)).dtype == jnp.bfloat16


REFUSED = {
    "param-shape": (
        {"linear": {"bias": jnp.ones(4)}},
        r"linear\.bias: expected shape \(3,\), got \(4,\)(.|\n)*strict=False",
    ),
    "param-number": (
        {"linear": {"bias": 1.0}},
        r"linear\.bias: expected shape \(3,\), got \(\)(.|\n)*strict=False",
    ),
    "new-array": (
        {"linear": {"bais": jnp.ones(3)}},
        r"linear\.bais: unknown path(.|\n)*a Variable for what is new",
    ),
    "leaf-for-node": (
        {"linear": nnx.Param(jnp.ones(3))},
        r"linear: a leaf, where the model has a node(.|\n)*correct the State",
    ),
    "below-leaf": (
        {"cache": {"x": {}}, "linear": {"bias": jnp.ones(3)}, "table": {"y": 1}},
        r"table\.y: below a leaf|table: expected",
    ),
}


@pytest.mark.parametrize(
    ("part", "text"), list(REFUSED.values())[:4], ids=list(REFUSED)[:4]
)
def test_what_is_nearly_always_a_mistake_is_refused(part, text):
    model = Model()
    bias = model.linear.bias.value
    with pytest.raises(StructureError, match=text):
        nnx.update(model, {"cache": jnp.ones(2), **part})
    assert model.linear.bias.value is bias
    assert float(model.cache.sum()) == 0.0


def test_strict_false_takes_a_param_of_another_shape():
    model = Model()
    part = {"linear": {"bias": jnp.ones(4), "new": jnp.ones(1)}}
    nnx.update(model, part, strict=False)
    assert model.linear.bias.shape == (4,)
    assert model.linear.new.shape == (1,)


def test_a_variable_alone_is_updated():
    v = nnx.Cache(jnp.zeros(2))
    nnx.update(v, jnp.ones(3))
    nnx.update(v, {})
    nnx.update(v, nnx.State({}))
    assert v.shape == (3,)
    nnx.update(v, 5.0)
    assert float(v) == 5.0


def test_plain_containers_are_updated_in_place():
    tree = {"a": jnp.zeros(2), "b": [nnx.Param(jnp.zeros(1)), jnp.zeros(3)]}
    nnx.update(tree, {"a": jnp.ones(2), "b": {0: jnp.ones(1), 1: jnp.ones(3)}})
    assert [float(x.sum()) for x in (tree["a"], *tree["b"])] == [2.0, 1.0, 3.0]
