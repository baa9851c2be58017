"""grad and value_and_grad: what they select, what they return, what they keep."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, FilterError
from tests.models import Pair, nested_writes, snapshot


def product(model, x=1.0):
    """d/da = x b, d/db = x a, summed."""
    return (model.a.value * model.b.value * x).sum()


def two_valued() -> Pair:
    model = Pair()
    model.a.value, model.b.value = jnp.full(3, 2.0), jnp.full(3, 5.0)
    return model


def values(tree: Any) -> Any:
    return jax.tree.map(
        lambda v: np.asarray(v).tolist(),
        tree,
        is_leaf=lambda v: isinstance(v, nnx.Variable),
    )


# -- argnums

SELECTIONS: dict[str, tuple[Any, list[str]]] = {
    "default": ({}, ["a", "b", "items"]),
    "zero": ({"argnums": 0}, ["a", "b", "items"]),
    "negative": ({"argnums": -2}, ["a", "b", "items"]),
    "diff_state": ({"argnums": nnx.DiffState(0, nnx.Param)}, ["a", "b", "items"]),
    "path": ({"argnums": nnx.DiffState(0, nnx.PathContains("b"))}, ["b"]),
    "type": ({"argnums": nnx.DiffState(0, nnx.BatchStat)}, ["table"]),
    "any": (
        {"argnums": nnx.DiffState(0, nnx.Any(nnx.BatchStat, nnx.PathContains("a")))},
        ["a", "table"],
    ),
    "everything": ({"argnums": nnx.DiffState(0, ...)}, ["a", "b", "items", "table"]),
    "callable": (
        {"argnums": nnx.DiffState(0, lambda path, leaf: path == ("a",))},
        ["a"],
    ),
}


@pytest.mark.parametrize("case", SELECTIONS)
def test_selection(case):
    options, expected = SELECTIONS[case]
    grads = nnx.grad(product, **options)(two_valued(), 1.0)
    assert isinstance(grads, nnx.State)
    assert sorted(grads) == expected
    if "a" in grads:
        assert grads["a"].value.tolist() == [5.0] * 3
    if "table" in grads:
        assert grads["table"]["x"].value.tolist() == [0.0] * 2


TUPLES: dict[str, Any] = {
    "pair": (0, 1),
    "reversed": (1, 0),
    "one": (1,),
    "list": [0, 1],
    "mixed": (nnx.DiffState(0, nnx.PathContains("a")), 1),
    "negative": (-1, 0),
}


@pytest.mark.parametrize("case", TUPLES)
def test_several_argnums_give_a_tuple(case):
    argnums = TUPLES[case]
    grads = nnx.grad(product, argnums=argnums)(two_valued(), 3.0)
    assert isinstance(grads, tuple)
    assert len(grads) == len(argnums)
    for number, grad in zip(argnums, grads, strict=True):
        if isinstance(grad, nnx.State):
            assert grad["a"].value.tolist() == [15.0] * 3
        else:
            assert number in (1, -1)
            assert float(grad) == 30.0


ARRAYS: dict[str, Any] = {
    "scalar": (2.0, 12.0),
    "array": (jnp.full(3, 2.0), [12.0] * 3),
    "numpy": (np.full(3, 2.0, np.float32), [12.0] * 3),
    "dict": ({"x": jnp.asarray(2.0), "y": [jnp.asarray(1.0)]}, {"x": 12.0, "y": [3.0]}),
    "tuple": ((jnp.asarray(2.0), None), (12.0, None)),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_gradient_of_array_arguments_as_jax(case):
    x, expected = ARRAYS[case]

    def f(x):
        leaves = jax.tree.leaves(x)
        return sum([(leaf**3).sum() for leaf in leaves], jnp.zeros(()))

    assert values(nnx.grad(f)(x)) == expected == values(jax.grad(f)(x))


def test_gradient_of_a_variable_is_a_variable():
    weight = nnx.Param(jnp.full(2, 3.0), note="kept")
    grad = nnx.grad(lambda w: (w.value**2).sum())(weight)
    assert type(grad) is nnx.Param
    assert grad.note == "kept"
    assert grad.value.tolist() == [6.0, 6.0]


def test_gradient_of_a_pytree_of_modules_keeps_its_form():
    models = {"m": two_valued(), "rest": [two_valued(), jnp.ones(())]}
    grads = nnx.grad(lambda t: product(t["m"]) + product(t["rest"][0], t["rest"][1]))(
        models
    )
    assert grads["m"]["a"].value.tolist() == [5.0] * 3
    assert grads["rest"][0]["b"].value.tolist() == [2.0] * 3
    assert float(grads["rest"][1]) == 30.0


def test_gradient_of_a_state():
    state = nnx.state(two_valued(), nnx.Param)
    grads = nnx.grad(lambda s: (s["a"].value * s["b"].value).sum())(state)
    assert grads["a"].value.tolist() == [5.0] * 3


def test_gradient_of_bare_arrays():
    model = nnx.Dict(scale=jnp.full(2, 3.0), weight=nnx.Param(jnp.ones(2)))
    select = nnx.DiffState(0, nnx.PathContains("scale"))
    grads = nnx.grad(lambda m: (m.scale**2 * m.weight).sum(), argnums=select)(model)
    assert grads["scale"].tolist() == [6.0, 6.0]


# -- forms and options


@nnx.grad
def decorated(model):
    return product(model)


@nnx.value_and_grad(argnums=1, has_aux=True)
def decorated_with_options(model, x):
    return product(model, x), {"aux": model.a.value, "model": model}


def test_as_decorators():
    model = two_valued()
    assert decorated.__name__ == "decorated"
    assert decorated(model)["a"].value.tolist() == [5.0] * 3
    (loss, aux), grad = decorated_with_options(model, 2.0)
    assert (float(loss), float(grad)) == (60.0, 30.0)
    assert aux["aux"].tolist() == [2.0] * 3
    assert aux["model"] is model


def test_keyword_arguments_are_passed_and_updated():
    model, other = two_valued(), Pair()

    def loss(m, *, other, scale):
        other.a.value = other.a.value + 1
        return product(m, scale)

    grads = nnx.grad(loss)(model, other=other, scale=2.0)
    assert grads["a"].value.tolist() == [10.0] * 3
    assert other.a.value.tolist() == [2.0] * 3


def scaled(m, scale=2.0):
    return product(m, scale)


@pytest.mark.parametrize(
    ("argnums", "given"),
    [
        (0, ["m", "scale"]),
        (0, ["scale", "m"]),
        (0, ["m"]),
        (nnx.DiffState(0, ...), ["m"]),
        (-2, ["m", "scale"]),
    ],
)
def test_the_argument_of_a_gradient_may_be_passed_by_keyword(argnums, given):
    named = {"m": two_valued(), "scale": 2.0}
    grads = nnx.grad(scaled, argnums=argnums)(**{name: named[name] for name in given})
    assert grads["a"].value.tolist() == [10.0] * 3


@pytest.mark.parametrize("argnums", [1, -1])
def test_a_default_has_a_gradient(argnums):
    assert float(nnx.grad(scaled, argnums=argnums)(two_valued())) == 30.0


def test_what_is_no_parameter_has_no_gradient():
    text = r"argnums=2, but there are 2 positional .*\n.*argnums of an argument that is"
    with pytest.raises(ArgumentError, match=text):
        nnx.grad(scaled, argnums=2)(m=two_valued())


AUX: dict[str, Any] = {
    "array": lambda m: m.a.value,
    "none": lambda m: None,
    "string": lambda m: "text",
    "nested": lambda m: {"x": (m.a.value, 3)},
    "new": lambda m: nnx.Param(m.a.value),
}


@pytest.mark.parametrize("name", AUX)
def test_aux_may_be_anything(name):
    model = two_valued()
    grads, aux = nnx.grad(lambda m: (product(m), AUX[name](m)), has_aux=True)(model)
    assert values(aux) == values(AUX[name](model))
    assert grads["a"].value.tolist() == [5.0] * 3


def test_holomorphic():
    weight = nnx.Param(jnp.array(1.0 + 2.0j))
    grad = nnx.grad(lambda w: w.value**2, holomorphic=True)(weight)
    assert complex(grad.value) == 2.0 + 4.0j


def test_allow_int():
    weight = nnx.Param(jnp.arange(3))
    grad = nnx.grad(lambda w: w.value.astype(float).sum(), allow_int=True)(weight)
    assert grad.value.dtype == jax.dtypes.float0


def test_bfloat16_stays_bfloat16():
    weight = nnx.Param(jnp.ones(3, jnp.bfloat16))
    value, grad = nnx.value_and_grad(lambda w: w.value.sum())(weight)
    assert value.dtype == grad.value.dtype == jnp.bfloat16


def test_loss_may_be_a_variable():
    assert nnx.grad(lambda w: w)(nnx.Param(jnp.ones(()))).value == 1.0


# -- state


def test_state_changed_in_the_loss_is_kept():
    def loss(model):
        model.table["x"].value = model.table["x"].value + model.a.value[:2]
        model.mode = "seen"
        model.items.append(nnx.Cache(model.a.value))
        model.sow(nnx.Intermediate, "hidden", model.b.value)
        return product(model)

    model, plain = two_valued(), two_valued()
    value, _ = nnx.value_and_grad(loss)(model)
    assert float(value) == float(loss(plain))
    assert snapshot(model) == snapshot(plain)


def test_parameter_written_in_the_loss_is_kept_and_differentiated_as_it_entered():
    def loss(model):
        model.a.value = model.a.value * 3
        return product(model)

    model = two_valued()
    grads = nnx.grad(loss)(model)
    assert grads["a"].value.tolist() == [15.0] * 3
    assert model.a.value.tolist() == [6.0] * 3


def test_rngs_advance():
    model = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    weight = nnx.Param(jnp.ones(64))
    grad = nnx.grad(lambda w, d: d(w.value).sum())
    assert grad(weight, model).value.tolist() != grad(weight, model).value.tolist()


def test_shared_parameter_gets_the_sum_once():
    model = two_valued()
    model.b = model.a
    grads = nnx.grad(product)(model)
    assert "b" not in grads
    assert grads["a"].value.tolist() == [4.0] * 3


def test_same_model_as_two_arguments():
    model = two_valued()
    grads = nnx.grad(lambda m, n: product(m) + product(n), argnums=(0, 1))(model, model)
    assert grads[0]["a"].value.tolist() == [10.0] * 3


def test_captured_model_is_read_and_differentiated_by_none():
    model, weight = two_valued(), nnx.Param(jnp.full(3, 3.0))
    grad = nnx.grad(lambda w: (w.value * model.a.value).sum())(weight)
    assert grad.value.tolist() == [2.0] * 3


def test_captured_original_of_an_argument_is_its_twin():
    model = two_valued()
    grads = nnx.grad(lambda m: product(model))(model)
    assert grads["a"].value.tolist() == [5.0] * 3


# -- nesting


def cubed(weight):
    return (weight.value**3).sum()


NESTS: dict[str, Any] = {
    "grad_of_grad": lambda: nnx.grad(lambda w: nnx.grad(cubed)(w).value.sum()),
    "jit": lambda: nnx.jit(
        nnx.grad(lambda w: nnx.grad(cubed)(w).value.sum()), donate=False
    ),
    "grad_of_jit": lambda: nnx.grad(nnx.jit(lambda w: nnx.grad(cubed)(w).value.sum())),
    "jit_of_grad_of_jit": lambda: nnx.jit(
        nnx.grad(nnx.jit(lambda w: nnx.grad(nnx.jit(cubed))(w).value.sum()))
    ),
    "captured": lambda: nnx.grad(
        lambda w: (
            nnx.grad(lambda v: (v**2 * w.value**3).sum())(jnp.ones(2)).sum() / 2
            + (w.value**3 * 2).sum()
        )
    ),
}


@pytest.mark.parametrize("name", NESTS)
def test_second_order(name):
    weight = nnx.Param(jnp.array([2.0, 3.0]))
    grad = NESTS[name]()(weight)
    x = np.array([2.0, 3.0])
    expected = 9 * x**2 if name == "captured" else 6 * x
    np.testing.assert_allclose(grad.value, expected)
    assert weight.value.tolist() == [2.0, 3.0]


def test_state_written_in_an_inner_grad_reaches_the_outside():
    outer = nested_writes(lambda f, w, stat: nnx.grad(f)(w, stat))
    weight, stat = nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.ones(()))
    nnx.grad(outer)(weight, stat)
    assert float(stat.value) == 11.0
    nnx.jit(nnx.grad(outer))(weight, stat)
    assert float(stat.value) == 111.0


def test_inside_jax_transforms_on_fresh_models():
    @jax.jit
    @jax.vmap
    def f(x):
        model = two_valued()
        return nnx.grad(product)(model, x)["a"].value

    np.testing.assert_allclose(f(jnp.array([1.0, 2.0])), [[5.0] * 3, [10.0] * 3])


# -- errors: each names what it met, and nothing changes

ERRORS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "selects_nothing": (
        product,
        {"argnums": nnx.DiffState(0, nnx.Cache)},
        FilterError,
        r"argument 0 holds nothing that Cache selects.*\n.*DiffState\(0",
    ),
    "no_argument": (product, {"argnums": 5}, ArgumentError, "argnums=5.*1 positional"),
    "aux_missing": (
        product,
        {"has_aux": True},
        ArgumentError,
        r"has_aux=True, but product returned .*\n.*\(loss, aux\)",
    ),
    "aux_of_three": (
        lambda m: (product(m), 1, 2),
        {"has_aux": True},
        ArgumentError,
        "returned tuple",
    ),
    "aux_unexpected": (lambda m: (product(m), 1), {}, TypeError, "scalar|tuple"),
    "not_scalar": (lambda m: m.a.value, {}, TypeError, "scalar"),
    "integer": (lambda m: jnp.ones((), int), {}, TypeError, "int32"),
    "none": (lambda m: None, {}, TypeError, "None|scalar"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    f, options, error, text = ERRORS[case]

    def loss(model):
        model.a.value = model.a.value + 1
        return f(model)

    loss.__name__ = getattr(f, "__name__", "loss")
    model = two_valued()
    before = snapshot(model)
    with pytest.raises(error, match=text):
        nnx.grad(loss, **options)(model)
    assert snapshot(model) == before


def test_reduce_axes_is_refused():
    with pytest.raises(ArgumentError, match="reduce_axes"):
        nnx.grad(product, reduce_axes=("batch",))


class Scale(nnx.Variable):
    """A type that no filter selects by default."""


def test_a_variable_that_is_an_argument_is_differentiated_whatever_its_type():
    given = {"a": nnx.Param(jnp.array(3.0)), "b": Scale(jnp.array(2.0))}
    grads = nnx.grad(lambda d: d["a"][...] ** 2 * d["b"][...])(given)
    assert (float(grads["a"].value), float(grads["b"].value)) == (12.0, 9.0)
    assert type(grads["b"]) is Scale
    alone = nnx.grad(lambda v: v[...] ** 2)(given["b"])
    assert float(alone.value) == 4.0
    pair = nnx.grad(lambda a, b: a * b, argnums=(0, 1))(given["a"], given["b"])
    assert [float(g.value) for g in pair] == [2.0, 3.0]


def test_a_variable_in_two_places_has_its_gradient_at_the_first():
    v = nnx.Param(jnp.array(3.0))
    grads = nnx.grad(lambda d: d["a"] * d["b"])({"a": v, "b": v})
    assert (float(grads["a"].value), len(grads["b"])) == (6.0, 0)
    one, other = nnx.grad(lambda a, b: a * b, argnums=(0, 1))(v, v)
    assert (float(one.value), len(other)) == (6.0, 0)
    assert float(nnx.grad(lambda a, b: a * b)(v, v).value) == 6.0


FORWARD = {
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,))[1],
    "jacfwd": lambda f, x: jax.jacfwd(f)(x),
    "linearize": lambda f, x: jax.linearize(f, x)[1](x),
    "vmap_of_jvp": lambda f, x: jax.vmap(lambda x: jax.jvp(f, (x,), (x,))[1])(x),
    "jvp_in_jit": lambda f, x: jax.jit(lambda x: jax.jvp(f, (x,), (x,))[1])(x),
}
OBJECTS = {
    "module": lambda: nnx.Dict(w=nnx.Param(jnp.ones(2))),
    "state": lambda: nnx.State({"w": nnx.Param(jnp.ones(2))}),
    "variable": lambda: nnx.Param(jnp.ones(2)),
}


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("name", FORWARD)
def test_forward_mode_of_jax_takes_functions_that_return_objects(name, kind):
    derivative = FORWARD[name](
        lambda x: jax.tree.map(lambda a: 2 * a, x), OBJECTS[kind]()
    )
    expected = [[2.0, 0.0], [0.0, 2.0]] if name == "jacfwd" else [2.0, 2.0]
    assert jax.tree.leaves(derivative)[0].tolist() == expected


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_hessian_of_a_function_of_objects(kind, wrap):
    def cube(x):
        return (jax.tree.leaves(x)[0] ** 3).sum()

    second = wrap(jax.hessian(cube))(OBJECTS[kind]())
    assert jax.tree.leaves(second)[0].tolist() == [[6.0, 0.0], [0.0, 6.0]]


def test_read_of_a_variable_after_its_forward_mode_trace_is_an_error():
    kept = []
    jax.jvp(lambda x: kept.append(nnx.Param(x)) or x, (1.0,), (1.0,))
    with pytest.raises(nnx.TraceContextError, match="trace that has ended"):
        kept[0].value + 1
