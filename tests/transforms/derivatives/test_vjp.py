"""vjp and jvp against those of jax on the pure twin of the same function."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, StructureError
from tests.models import JITS, Pair, holds_tracer, nested_writes, snapshot

X = jax.random.normal(jax.random.key(1), (4, 3))
DX = jax.random.normal(jax.random.key(2), (4, 3))


class Model(nnx.Module):
    """Parameters, statistics, dropout and a count: all that a layer may hold."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))

    def __call__(self, x):
        self.calls.value = self.calls.value + jnp.ones((), jnp.int32)
        return self.drop(self.norm(self.linear(x)))


def forward(model, x):
    return model(x)


def make() -> Model:
    return Model(nnx.Rngs(0))


def twin(model: Any) -> tuple[Any, Any]:
    """`forward` as a function of the float leaves and x alone, and these leaves."""
    graph, floats, rest = nnx.split(model, is_float, ...)

    def pure(floats, x):
        return forward(nnx.merge(graph, floats, rest, copy=True), x)

    return pure, floats


def is_float(path: Any, leaf: Any) -> bool:
    return jnp.issubdtype(leaf.get_raw_value().dtype, jnp.inexact)


def floats_of(derivative: Any) -> list[Any]:
    """The arrays of a derivative that are not empty."""
    empty = jax.dtypes.float0
    return [x for x in jax.tree.leaves(derivative) if x.dtype != empty]


def assert_trees_close(got: Any, expected: Any) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        got,
        expected,
    )


def product(model, x=1.0):
    return (model.a.value * model.b.value * x).sum()


# -- numbers


@pytest.mark.parametrize("wrap", JITS)
def test_vjp_is_that_of_the_pure_twin(wrap):
    def both(model, x, g):
        y, pull = nnx.vjp(forward, model, x)
        return y, pull(g)

    pure, floats = twin(make())
    y, pull = jax.vjp(pure, floats, X)
    got, (grads, x_grad) = wrap(both)(make(), X, DX)
    assert_trees_close((got, x_grad), (y, pull(DX)[1]))
    assert_trees_close(floats_of(grads), jax.tree.leaves(pull(DX)[0]))


@pytest.mark.parametrize("wrap", JITS)
def test_jvp_is_that_of_the_pure_twin(wrap):
    pure, floats = twin(make())
    direction = jax.tree.map(lambda a: jnp.sin(a + 1), floats)
    expected = jax.jvp(pure, (floats, X), (direction, DX))
    call = wrap(lambda m, x, dm, dx: nnx.jvp(forward, (m, x), (dm, dx)))
    assert_trees_close(call(make(), X, direction, DX), expected)


@pytest.mark.parametrize("wrap", JITS)
def test_jvp_and_vjp_are_transposes(wrap):
    direction = jax.tree.map(jnp.cos, nnx.state(make(), nnx.Param))

    def products(model, other):
        _, dy = nnx.jvp(forward, (model, X), (direction, None))
        _, pull = nnx.vjp(forward, other, X)
        grads = nnx.state(pull(DX)[0], nnx.Param)
        terms = jax.tree.map(lambda a, b: (a * b).sum(), grads, direction)
        return (dy * DX).sum(), sum(jax.tree.leaves(terms))

    np.testing.assert_allclose(*wrap(products)(make(), make()), rtol=1e-4)


def test_vjp_agrees_with_grad_for_parameters():
    _, pull = nnx.vjp(lambda m: (forward(m, X) ** 2).sum(), make())
    (grads,) = pull(jnp.ones(()))
    expected = nnx.grad(lambda m: (forward(m, X) ** 2).sum())(make())
    assert_trees_close(nnx.state(grads, nnx.Param), expected)


# -- state


TRANSFORMS: dict[str, Any] = {
    "vjp": lambda m: nnx.vjp(forward, m, X)[0],
    "jvp": lambda m: nnx.jvp(forward, (m, X), (None, DX))[0],
    "vjp_in_jit": nnx.jit(lambda m: nnx.vjp(forward, m, X)[0]),
    "jvp_in_jit": nnx.jit(lambda m: nnx.jvp(forward, (m, X), (None, DX))[0]),
    "vjp_of_jit": lambda m: nnx.vjp(nnx.jit(forward), m, X)[0],
    "jvp_of_jit": lambda m: nnx.jvp(nnx.jit(forward), (m, X), (None, DX))[0],
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_state_is_updated_as_by_one_plain_call(name):
    model, plain = make(), make()
    y = TRANSFORMS[name](model)
    np.testing.assert_allclose(y, plain(X), rtol=1e-5, atol=1e-6)
    assert int(model.calls.value) == 1
    assert int(model.drop.rngs.count.value) == int(plain.drop.rngs.count.value)
    np.testing.assert_allclose(model.norm.mean.value, plain.norm.mean.value, rtol=1e-5)
    assert not holds_tracer(model)


def test_pull_changes_no_state_and_can_be_called_again():
    model = make()
    _, pull = nnx.vjp(forward, model, X)
    before = snapshot(model)
    first, second = pull(DX), pull(DX)
    assert snapshot(model) == before
    assert_trees_close(floats_of(first), floats_of(second))


def test_pull_is_of_the_values_at_the_call():
    model = Pair()
    _, pull = nnx.vjp(product, model)
    model.a.value = jnp.full(3, 100.0)
    assert pull(jnp.ones(()))[0].b.value.tolist() == [1.0] * 3


def test_structure_changes_are_kept():
    def f(model):
        model.items.append(nnx.Cache(model.a.value))
        model.mode = "seen"
        return product(model)

    model = Pair()
    _, pull = nnx.vjp(f, model)
    assert (model.mode, len(model.items)) == ("seen", 3)
    assert pull(jnp.ones(()))[0].a.value.tolist() == [1.0] * 3


def test_a_function_that_raises_leaves_the_model_as_it_was():
    def f(model):
        model.a.value = model.a.value * 2
        raise KeyError("mine")

    model = Pair()
    before = snapshot(model)
    with pytest.raises(KeyError, match="mine"):
        nnx.vjp(f, model)
    with pytest.raises(KeyError, match="mine"):
        nnx.jvp(f, (model,), (None,))
    assert snapshot(model) == before


# -- arguments


def test_shared_variable_has_one_derivative():
    model = Pair(2.0)
    model.b = model.a
    _, pull = nnx.vjp(product, model)
    (grads,) = pull(jnp.ones(()))
    assert grads.b is grads.a
    assert grads.a.value.tolist() == [4.0] * 3
    _, dy = nnx.jvp(product, (model,), (jax.tree.map(jnp.ones_like, grads),))
    assert float(dy) == 12.0


def test_same_model_as_two_arguments_has_the_sum_in_the_first():
    model = Pair(2.0)
    _, pull = nnx.vjp(lambda m, n: product(m) + product(n), model, model)
    one, other = pull(jnp.ones(()))
    assert one.a.value.tolist() == [4.0] * 3
    assert other.a.value.tolist() == [0.0] * 3


def test_one_variable_has_no_two_tangents():
    v = nnx.Param(jnp.ones(()))
    with pytest.raises(StructureError, match="tangent of argument 1 is that of a Var"):
        nnx.jvp(lambda a, b: a * b, (v, v), (v, v))
    assert float(nnx.jvp(lambda a, b: a * b, (v, v), (v, None))[1]) == 2.0


def test_derivative_of_an_object_is_one_of_its_class():
    model = Pair(2.0)
    _, (grads,) = (lambda y, pull: (y, pull(jnp.ones(()))))(*nnx.vjp(product, model))
    _, tangent = nnx.jvp(lambda m: m, (model,), (grads,))
    assert type(grads) is type(tangent) is Pair
    assert tangent.a[...].tolist() == grads.a[...].tolist() == [2.0] * 3


def test_pytree_of_models_keeps_its_form():
    tree = {"m": Pair(2.0), "rest": [Pair(3.0), jnp.ones(())]}
    _, pull = nnx.vjp(lambda t: product(t["m"]) * t["rest"][1], tree)
    (grads,) = pull(jnp.ones(()))
    assert grads["m"].a.value.tolist() == [2.0] * 3
    assert grads["rest"][0].a.value.tolist() == [0.0] * 3
    assert float(grads["rest"][1]) == 12.0


def test_tangent_of_a_pytree_of_models():
    tree = {"m": Pair(2.0), "x": jnp.ones(())}
    direction = {"m": None, "x": jnp.full((), 5.0)}
    _, dy = nnx.jvp(lambda t: product(t["m"], t["x"]), (tree,), (direction,))
    assert float(dy) == 60.0


def test_numbers_keys_and_integers_have_empty_derivatives():
    def f(model, n, key, x):
        return product(model, x) * n + jax.random.normal(key) * 0

    args = (Pair(2.0), jnp.array(3), jax.random.key(0), 1.0)
    _, pull = nnx.vjp(f, *args)
    grads, n_grad, key_grad, x_grad = pull(jnp.ones(()))
    assert grads.a.value.tolist() == [6.0] * 3
    assert n_grad.dtype == key_grad.dtype == jax.dtypes.float0
    assert float(x_grad) == 36.0


def test_tangents_of_integers_and_keys_are_not_looked_at():
    def f(n, key, x):
        return x * n

    args = (jnp.array(3), jax.random.key(0), 2.0)
    assert float(nnx.jvp(f, args, (None, None, 1.0))[1]) == 3.0
    assert float(nnx.jvp(f, args, (jnp.array(1), args[1], 1.0))[1]) == 3.0


def test_rngs_as_argument_advance_once():
    rngs = nnx.Rngs(0)
    y, _ = nnx.vjp(lambda r, x: r.normal(x.shape) * x, rngs, X)
    plain = nnx.Rngs(0)
    np.testing.assert_allclose(y, plain.normal(X.shape) * X, rtol=1e-6)
    assert snapshot(rngs) == snapshot(plain)


def test_a_variable_is_an_argument_of_its_own():
    weight = nnx.Param(jnp.full(2, 3.0))
    _, pull = nnx.vjp(lambda w: w.value**2, weight)
    (grad,) = pull(jnp.ones(2))
    assert type(grad) is nnx.Param
    assert grad.value.tolist() == [6.0, 6.0]
    tangent = nnx.Param(jnp.ones(2))
    assert nnx.jvp(lambda w: w.value**2, (weight,), (tangent,))[1].tolist() == [6, 6]


def test_value_may_hold_variables():
    weight = nnx.Param(jnp.full(2, 3.0))
    y, pull = nnx.vjp(lambda w: {"same": w, "twice": w.value * 2}, weight)
    assert y["same"] is weight
    (grad,) = pull({"same": jnp.ones(2), "twice": jnp.ones(2)})
    assert grad.value.tolist() == [3.0, 3.0]


# -- tangents

TANGENTS: dict[str, Any] = {
    "model": (lambda m: jax.tree.map(jnp.ones_like, m), 12.0),
    "state": (lambda m: jax.tree.map(jnp.ones_like, nnx.state(m)), 12.0),
    "params": (lambda m: jax.tree.map(jnp.ones_like, nnx.state(m, nnx.Param)), 12.0),
    "partial": (lambda m: nnx.State({"a": nnx.Param(jnp.ones(3))}), 6.0),
    "empty": (lambda m: nnx.State({}), 0.0),
    "none": (lambda m: None, 0.0),
}


@pytest.mark.parametrize("wrap", JITS)
@pytest.mark.parametrize("name", TANGENTS)
def test_what_a_tangent_leaves_out_is_zero(name, wrap):
    make_tangent, expected = TANGENTS[name]
    model = Pair(2.0)
    call = wrap(lambda m, d: nnx.jvp(product, (m,), (d,)))
    value, dy = call(model, make_tangent(model))
    assert (float(value), float(dy)) == (12.0, expected)


# -- forms


def with_aux(model, x):
    return product(model, x), {"model": model, "text": "kept"}


pulled, pushed = nnx.vjp(product), nnx.jvp(product)
pulled_with_aux = nnx.vjp(has_aux=True)(with_aux)
pushed_with_aux = nnx.jvp(has_aux=True)(with_aux)


def test_vjp_as_decorator():
    model = Pair(2.0)
    assert pulled.__name__ == "product"
    value, pull = pulled(model, 2.0)
    assert (float(value), float(pull(jnp.ones(()))[1])) == (24.0, 12.0)
    value, pull, aux = pulled_with_aux(model, 2.0)
    assert (float(value), float(pull(jnp.ones(()))[1])) == (24.0, 12.0)
    assert (aux["model"], aux["text"]) == (model, "kept")


def test_jvp_as_decorator():
    model = Pair(2.0)
    assert pushed.__name__ == "product"
    assert list(map(float, pushed((model, 2.0), (None, 1.0)))) == [24.0, 12.0]
    value, dy, aux = pushed_with_aux((model, 2.0), (None, 1.0))
    assert (float(value), float(dy)) == (24.0, 12.0)
    assert (aux["model"], aux["text"]) == (model, "kept")


# -- nesting


def cubed(w):
    return (w.value**3).sum()


def push(w):
    return nnx.jvp(cubed, (w,), (nnx.Param(jnp.ones(2)),))[1]


def pull(w):
    return nnx.vjp(cubed, w)[1](jnp.ones(()))[0].value.sum()


def hessian_vector(w):
    ones = nnx.Param(jnp.ones(2))
    return nnx.jvp(lambda v: nnx.grad(cubed)(v), (w,), (ones,))[1]


SECOND_ORDER: dict[str, Any] = {
    "grad_of_jvp": lambda: nnx.grad(push),
    "grad_of_vjp": lambda: nnx.grad(pull),
    "jit_of_grad_of_jvp": lambda: nnx.jit(nnx.grad(push)),
    "grad_of_jit_of_vjp": lambda: nnx.grad(nnx.jit(pull)),
    "jvp_of_grad": lambda: hessian_vector,
    "jit_of_jvp_of_grad": lambda: nnx.jit(hessian_vector),
    "vjp_of_grad": lambda: lambda w: nnx.vjp(nnx.grad(cubed), w)[1](jnp.ones(2))[0],
    "jvp_of_jvp": lambda: lambda w: nnx.vjp(push, w)[1](jnp.ones(()))[0],
}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order(name):
    weight = nnx.Param(jnp.array([2.0, 3.0]))
    got = SECOND_ORDER[name]()(weight)
    np.testing.assert_allclose(jax.tree.leaves(got)[0], [12.0, 18.0])
    assert weight.value.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("vmap", [jax.vmap, nnx.vmap], ids=["jax", "nnx"])
def test_vmap_of_pull_gives_the_jacobian(vmap):
    weight = nnx.Param(jnp.array([2.0, 3.0]))
    _, pull = nnx.vjp(lambda w: w.value**2, weight)
    rows = vmap(lambda g: pull(g)[0].value)(jnp.eye(2))
    assert rows.tolist() == [[4.0, 0.0], [0.0, 6.0]]


def test_inside_vmap_over_models():
    models = nnx.vmap(lambda v: nnx.Param(v))(jnp.array([[2.0], [3.0]]))
    ys, grads = nnx.vmap(
        lambda w: (nnx.vjp(cubed, w)[0], nnx.vjp(cubed, w)[1](jnp.ones(()))[0].value)
    )(models)
    assert (ys.tolist(), grads.tolist()) == ([8.0, 27.0], [[12.0], [27.0]])


def test_state_written_inside_an_outer_grad_reaches_the_outside():
    outer = nested_writes(lambda f, w, stat: nnx.vjp(f, w, stat)[1](jnp.ones(()))[0])
    weight, stat = nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.ones(()))
    nnx.grad(outer)(weight, stat)
    assert float(stat.value) == 11.0


def test_captured_model_is_read_and_not_differentiated():
    model, weight = Pair(2.0), nnx.Param(jnp.full(3, 3.0))
    _, pull = nnx.vjp(lambda w: (w.value * model.a.value).sum(), weight)
    assert pull(jnp.ones(()))[0].value.tolist() == [2.0] * 3


def test_write_to_a_captured_model_is_an_error_before_it_happens():
    model = Pair(2.0)

    def f(x):
        model.a.value = model.a.value * x
        return x

    with pytest.raises(nnx.TraceContextError, match=r"a|Param"):
        nnx.vjp(f, 2.0)
    assert model.a.value.tolist() == [2.0] * 3


# -- errors: each names what it met, and nothing changes


def advance(model):
    model.a.value = model.a.value + 1
    return product(model)


def tangent(**values: Any) -> nnx.State:
    return nnx.State({k: nnx.Param(jnp.ones(n)) for k, n in values.items()})


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "unknown_path": (
        lambda m: nnx.jvp(advance, (m,), (tangent(a=3, c=3),)),
        StructureError,
        r"tangent of argument 0 has paths that the argument lacks: c\n.*take them out",
    ),
    "shape": (
        lambda m: nnx.jvp(advance, (m,), (tangent(a=4),)),
        StructureError,
        r"tangent of argument 0\.a has shape \(4,\), expected \(3,\)",
    ),
    "array_shape": (
        lambda m: nnx.jvp(lambda m, x: x, (m, X), (None, X[0])),
        StructureError,
        r"tangent of argument 1 has shape \(3,\), expected \(4, 3\)",
    ),
    "count": (
        lambda m: nnx.jvp(advance, (m,), ()),
        ArgumentError,
        r"0 tangents for 1 arguments\n.*one tangent for each",
    ),
    "form": (
        lambda m: nnx.jvp(lambda t: advance(t["m"]), ({"m": m},), ([m],)),
        ArgumentError,
        r"tangent of argument 0 has another form.*\n.*nnx\.State",
    ),
    "vjp_aux_missing": (
        lambda m: nnx.vjp(advance, m, has_aux=True),
        ArgumentError,
        r"vjp: has_aux=True, but .*\n.*\(value, aux\)",
    ),
    "jvp_aux_missing": (
        lambda m: nnx.jvp(advance, (m,), (None,), has_aux=True),
        ArgumentError,
        r"jvp: has_aux=True, but .*\n.*\(value, aux\)",
    ),
    "reduce_axes": (
        lambda m: nnx.vjp(advance, m, reduce_axes=("batch",)),
        ArgumentError,
        "reduce_axes.*batch",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, error, text = ERRORS[name]
    model = Pair()
    before = snapshot(model)
    with pytest.raises(error, match=text):
        call(model)
    assert snapshot(model) == before


def test_a_cotangent_of_another_form_is_refused():
    _, pull = nnx.vjp(lambda m: {"y": product(m)}, Pair())
    with pytest.raises((TypeError, ValueError), match=r"tree|structure"):
        pull(jnp.ones(()))
