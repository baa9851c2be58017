"""eval_shape, abstract, make_jaxpr, checkify: they tell, and change nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import checkify

import oakum as nnx
from tests.models import JITS, Pair, holds_tracer, snapshot

X = jnp.ones((4, 3))


class Model(nnx.Module):
    """Parameters, statistics, dropout and a static attribute."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.mode = "fresh"

    def __call__(self, x):
        return self.drop(self.norm(self.linear(x)))


def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)


def change(model, x):
    """Writes values, draws, sets an attribute, adds a Variable, returns a model."""
    y = model(x)
    model.mode = "used"
    model.sow(nnx.Intermediate, "hidden", y)
    return {"y": y, "model": model, "text": "kept"}


# -- nothing changes

TOLD: dict[str, Any] = {
    "eval_shape": lambda m: nnx.eval_shape(change, m, X),
    "eval_shape_in_jit": nnx.jit(
        lambda m: nnx.eval_shape(change, m, X)["y"].shape[0] * jnp.ones(())
    ),
    "make_jaxpr": lambda m: nnx.make_jaxpr(change)(m, X),
    "make_jaxpr_in_jit": nnx.jit(
        lambda m: len(nnx.make_jaxpr(change)(m, X).eqns) * jnp.ones(())
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_arguments_do_not_change_and_hold_no_tracer(name):
    model = Model(nnx.Rngs(0))
    before = snapshot(model)
    TOLD[name](model)
    assert snapshot(model) == before
    assert not holds_tracer(model)


@pytest.mark.parametrize("call", [nnx.eval_shape, nnx.abstract], ids=["eval", "abs"])
def test_rngs_are_not_advanced(call):
    rngs = nnx.Rngs(0)
    before = snapshot(rngs)
    call(Model, rngs)
    call(lambda rngs: rngs.normal((2,)), rngs)
    assert snapshot(rngs) == before
    assert not holds_tracer(rngs)


RAISING: dict[str, Any] = {
    "eval_shape": nnx.eval_shape,
    "make_jaxpr": lambda f, m: nnx.make_jaxpr(f)(m),
    "checkify": lambda f, m: nnx.checkify(f)(m),
}


@pytest.mark.parametrize("name", RAISING)
def test_a_function_that_raises_leaves_the_model_as_it_was(name):
    def f(model):
        change(model, X)
        raise KeyError("mine")

    model = Model(nnx.Rngs(0))
    before = snapshot(model)
    with pytest.raises(KeyError, match="mine"):
        RAISING[name](f, model)
    assert snapshot(model) == before


@pytest.mark.parametrize("name", RAISING)
def test_a_write_to_captured_state_is_refused(name):
    model = Pair()

    def f(_):
        model.a.value = model.a.value * 2

    with pytest.raises(nnx.TraceContextError, match="a"):
        RAISING[name](f, Pair())
    assert model.a.value.tolist() == [1.0] * 3


# -- eval_shape


def test_eval_shape_is_the_shape_of_what_a_call_returns():
    model = Model(nnx.Rngs(0))
    told = nnx.eval_shape(change, model, X)
    done = change(model, X)
    assert shapes(told["y"]) == shapes(done["y"])
    assert shapes(nnx.to_pure_dict(nnx.state(told["model"]))) == shapes(
        nnx.to_pure_dict(nnx.state(done["model"]))
    )
    assert (told["text"], told["model"].mode) == ("kept", "used")
    assert nnx.graphdef(told["model"]) == nnx.graphdef(done["model"])


def test_eval_shape_returns_new_objects():
    model = Model(nnx.Rngs(0))
    told = nnx.eval_shape(lambda m: m, model)
    assert told is not model
    assert isinstance(told.linear.kernel.value, jax.ShapeDtypeStruct)
    assert isinstance(model.linear.kernel.value, jax.Array)


def test_eval_shape_keeps_what_is_shared():
    def tied():
        model = Pair()
        model.b = model.a
        return model, model.a

    model, a = nnx.eval_shape(tied)
    assert model.a is model.b is a


def test_eval_shape_takes_abstract_models_and_arrays():
    model = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    y = nnx.eval_shape(lambda m, x: m(x), model, jax.ShapeDtypeStruct((4, 3), X.dtype))
    assert (y.shape, y.dtype) == ((4, 2), jnp.float32)


def test_eval_shape_of_keyword_arguments():
    told = nnx.eval_shape(lambda m, *, x: m(x), Model(nnx.Rngs(0)), x=X)
    assert told.shape == (4, 2)


def test_eval_shape_of_an_abstract_model_can_be_filled():
    told = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    made = Model(nnx.Rngs(1))
    nnx.update(told, nnx.state(made))
    assert snapshot(told) == snapshot(made)


def test_an_optimizer_can_be_made_and_stepped_under_eval_shape():
    def make():
        model = Model(nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)
        grads = nnx.grad(lambda m: (m(X) ** 2).sum())(model)
        optimizer.update(model, grads)
        return model, optimizer

    told, done = nnx.eval_shape(make), make()
    assert shapes(nnx.to_pure_dict(nnx.state(told))) == shapes(
        nnx.to_pure_dict(nnx.state(done))
    )
    assert isinstance(told[1].step.value, jax.ShapeDtypeStruct)


def test_an_optimizer_as_argument_is_not_stepped():
    model = Model(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)
    before = snapshot(model, optimizer)
    nnx.eval_shape(
        lambda m, o: o.update(m, nnx.grad(lambda m: m(X).sum())(m)), model, optimizer
    )
    assert snapshot(model, optimizer) == before


# -- abstract


def test_abstract_takes_numbers_for_sizes():
    model = nnx.abstract(nnx.Linear, 10**6, out_features=10**6, rngs=nnx.Rngs(0))
    assert model.kernel.value == jax.ShapeDtypeStruct((10**6, 10**6), jnp.float32)
    assert (model.in_features, model.out_features) == (10**6, 10**6)


@pytest.mark.parametrize("size", [3, np.int32(3), True], ids=["int", "numpy", "bool"])
def test_abstract_leaves_numbers_what_they_are(size):
    told = nnx.abstract(lambda n: nnx.Param(jnp.ones((int(n),))), size)
    assert told.value.shape == (int(size),)


def test_abstract_takes_numbers_inside_pytrees():
    told = nnx.abstract(lambda sizes: jnp.ones(sizes["shape"]), {"shape": (2, 3)})
    assert told.shape == (2, 3)


def test_abstract_has_the_structure_of_the_model():
    told = nnx.abstract(Model, nnx.Rngs(0))
    made = Model(nnx.Rngs(0))
    assert nnx.graphdef(told) == nnx.graphdef(made)
    assert shapes(jax.tree.leaves(told)) == shapes(jax.tree.leaves(made))


# -- make_jaxpr


def test_jaxpr_runs_as_the_function():
    model = Pair(2.0)
    closed = nnx.make_jaxpr(lambda m, x: m(x))(model, jnp.ones(3))
    inputs = [*jax.tree.leaves(nnx.state(model)), jnp.ones(3)]
    (y,) = jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *inputs)
    assert y.tolist() == [4.0] * 3


def test_jaxpr_returns_what_is_written_first():
    def f(v, x):
        v.value = v.value + 1
        return x * 2

    closed = nnx.make_jaxpr(f)(nnx.Variable(jnp.ones(2)), jnp.ones(3))
    assert [a.shape for a in closed.out_avals] == [(2,), (3,)]


@pytest.mark.parametrize("argnums", [1, (1,), (-1,)], ids=str)
def test_jaxpr_static_argnums_stay_what_they_are(argnums):
    @nnx.make_jaxpr(static_argnums=argnums)
    def f(v, n):
        assert isinstance(n, int)
        for _ in range(n):
            v.value = jnp.sin(v.value)

    assert str(f(nnx.Variable(jnp.ones(2)), 3)).count(" sin ") == 3


def test_jaxpr_keeps_the_name_of_the_function():
    assert nnx.make_jaxpr(change).__name__ == "change"


# -- checkify


def divide(v, x):
    checkify.check(v.value > 0, "v is {}", v.value)
    v.value = v.value - 1
    return x / v.value


@pytest.mark.parametrize("wrap", JITS)
def test_checkify_returns_error_and_result_and_keeps_state(wrap):
    v = nnx.Variable(jnp.full((), 2.0))
    checked = wrap(nnx.checkify(divide))
    error, y = checked(v, 3.0)
    assert (error.get(), float(y), float(v.value)) == (None, 3.0, 1.0)
    checked(v, 3.0)
    error, _ = checked(v, 3.0)
    assert "v is 0.0" in error.get()
    assert float(v.value) == -1.0


def test_checkify_finds_what_it_is_told_to():
    v = nnx.Variable(jnp.full((), 1.0))
    error, _ = nnx.checkify(divide, errors=checkify.float_checks)(v, 3.0)
    assert "division by zero" in error.get()


def test_checkify_keeps_structure_changes_and_rngs():
    model, plain = Model(nnx.Rngs(0)), Model(nnx.Rngs(0))
    error, result = nnx.checkify(change)(model, X)
    expected = change(plain, X)
    error.throw()
    assert result["model"] is model
    assert (model.mode, result["text"]) == ("used", "kept")
    np.testing.assert_allclose(result["y"], expected["y"], rtol=1e-6)
    assert nnx.graphdef(model) == nnx.graphdef(plain)
    assert not holds_tracer(model)


def test_checkify_of_a_gradient():
    def loss(w):
        checkify.check(jnp.all(w.value > 0), "negative")
        return (w.value**2).sum()

    checked = nnx.jit(nnx.checkify(nnx.grad(loss)))
    error, grad = checked(nnx.Param(jnp.array([1.0, 2.0])))
    assert error.get() is None
    assert grad.value.tolist() == [2.0, 4.0]
    assert "negative" in checked(nnx.Param(jnp.array([-1.0, 2.0])))[0].get()
