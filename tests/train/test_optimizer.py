"""Optimizer: both forms, groups, extra arguments, errors, and optax's own numbers."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import ArgumentError, FilterError, StructureError
from tests.mistakes import assert_raises
from tests.models import snapshot


@pytest.fixture(autouse=True)
def loose():
    """optax counts its steps in integers, and promotes them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Net(nnx.Module):
    def __init__(self, dtype: Any = jnp.float32):
        rngs = nnx.Rngs(0)
        self.inner = nnx.Linear(2, 4, rngs=rngs, param_dtype=dtype)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.outer = nnx.Linear(4, 1, rngs=rngs, param_dtype=dtype)

    def __call__(self, x):
        return self.outer(self.norm(nnx.tanh(self.inner(x))))


X = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)


def loss(model, x=X):
    return ((model(x) - 1.0) ** 2).mean()


def arrays(model: Any) -> dict[Any, Any]:
    return {p: np.asarray(v) for p, v in nnx.to_flat_state(nnx.state(model, nnx.Param))}


# -- forms


def free(model, tx):
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    return lambda grads, **kw: optimizer.update(model, grads, **kw), optimizer


def free_by_name(model, tx):
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    return lambda grads, **kw: optimizer.update(model=model, grads=grads), optimizer


def bound(model, tx):
    optimizer = nnx.Optimizer(model, tx)
    assert optimizer.model is model
    return optimizer.update, optimizer


def bound_given_the_model(model, tx):
    optimizer = nnx.Optimizer(model, tx)
    return lambda grads: optimizer.update(model, grads), optimizer


def model_and_optimizer(model, tx):
    optimizer = nnx.ModelAndOptimizer(model, tx, wrt=nnx.Param)
    assert optimizer.model is model
    return optimizer.update, optimizer


FORMS = [free, free_by_name, bound, bound_given_the_model, model_and_optimizer]
TRANSFORMATIONS: dict[str, Any] = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(1e-2),
    "adamw_clipped": lambda: optax.chain(
        optax.clip_by_global_norm(0.5), optax.adamw(1e-2, weight_decay=1e-2)
    ),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(0.1, 10)),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-2),
    "adafactor": lambda: optax.adafactor(1e-2),
    "multi_steps": lambda: optax.MultiSteps(optax.sgd(0.1), 2),
    "masked": lambda: optax.masked(
        optax.sgd(0.1), lambda p: jax.tree.map(lambda x: x.ndim > 1, p)
    ),
    "frozen": lambda: optax.set_to_zero(),
}


def by_hand(tx: Any, steps: int) -> dict[Any, Any]:
    """The same training with optax alone, on a dict of arrays, compiled."""
    model = Net()
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    params = nnx.to_pure_dict(params)
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        def value(params):
            model = nnx.merge(graphdef, params_state(params), rest)
            return loss(model)

        grads = jax.grad(value)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def params_state(params):
        filled = nnx.state(Net(), nnx.Param)
        nnx.replace_by_pure_dict(filled, params)
        return filled

    for _ in range(steps):
        params, state = step(params, state)
    return {p: np.asarray(v) for p, v in nnx.to_flat_state(params_state(params))}


@pytest.mark.filterwarnings("ignore::oakum.errors.StaleStateWarning")  # by choice
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_compiled_step_has_the_bits_of_optax(name):
    model = Net()
    optimizer = nnx.Optimizer(model, TRANSFORMATIONS[name](), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(loss)(model))

    for _ in range(3):
        step(model, optimizer)
    expected = by_hand(TRANSFORMATIONS[name](), 3)
    ours = arrays(model)
    assert ours.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(ours[path], value)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_every_form_gives_the_same(form):
    model, reference = Net(), Net()
    update, optimizer = form(model, optax.adam(1e-2))
    other = nnx.Optimizer(reference, optax.adam(1e-2), wrt=nnx.Param)
    for _ in range(2):
        update(nnx.grad(loss)(model))
        other.update(reference, nnx.grad(loss)(reference))
    assert snapshot(nnx.state(model)) == snapshot(nnx.state(reference))
    assert int(optimizer.step.value) == 2
    assert optimizer.step.value.dtype == jnp.uint32


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
def test_every_form_inside_jit(form):
    model = Net()
    _, optimizer = form(model, optax.sgd(0.1))
    names = ("model", "optimizer")

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(loss)(model)
        if hasattr(optimizer, "model"):
            optimizer.update(grads)
        else:
            optimizer.update(model, grads)

    before = float(loss(model))
    for _ in range(3):
        step(**dict(zip(names, (model, optimizer), strict=True)))
    assert float(loss(model)) < before
    assert step._cache_size() == 1


def test_several_models_in_one_optimizer():
    models = {"a": Net(), "b": [Net()]}
    optimizer = nnx.Optimizer(models, optax.sgd(0.1), wrt=nnx.Param)
    grads = nnx.grad(lambda m: loss(m["a"]) + 2 * loss(m["b"][0]))(models)
    optimizer.update(models, grads)
    assert not np.array_equal(models["a"].outer.bias.value, Net().outer.bias.value)
    np.testing.assert_allclose(
        models["b"][0].outer.bias.value, 2 * models["a"].outer.bias.value, rtol=1e-5
    )


# -- wrt

WRT: dict[str, tuple[Any, int]] = {
    "param": (nnx.Param, 6),
    "path": (nnx.PathContains("outer"), 2),
    "any": (nnx.Any(nnx.PathContains("bias"), nnx.PathContains("scale")), 4),
    "all": (nnx.All(nnx.Param, nnx.PathContains("inner")), 2),
    "callable": (lambda path, leaf: path[-1] == "kernel", 2),
}


@pytest.mark.parametrize("name", WRT)
def test_only_what_wrt_selects_is_trained(name):
    wrt, count = WRT[name]
    model = Net()
    before = arrays(model)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=wrt)
    grads = nnx.grad(loss, argnums=nnx.DiffState(0, wrt))(model)
    optimizer.update(model, grads)
    changed = [p for p, v in arrays(model).items() if (v != before[p]).any()]
    assert len(jax.tree.leaves(optimizer.opt_state)) == 2 * count + 1
    assert set(changed) <= {p for p, _ in nnx.to_flat_state(grads)}
    assert changed


def test_bfloat16_parameters_stay_bfloat16():
    model = Net(jnp.bfloat16)
    optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)
    before = jax.tree.map(lambda x: x.dtype, nnx.state((model, optimizer)))
    step = nnx.jit(lambda m, o: o.update(m, nnx.grad(loss)(m)))
    for _ in range(2):
        step(model, optimizer)
    assert jax.tree.map(lambda x: x.dtype, nnx.state((model, optimizer))) == before
    assert model.inner.kernel.value.dtype == jnp.bfloat16
    assert step._cache_size() == 1


# -- groups


def groups(**kwargs: Any) -> dict[Any, Any]:
    return {
        nnx.PathContains("bias"): optax.set_to_zero(),
        nnx.PathContains("scale"): optax.sgd(1.0),
        ...: optax.sgd(0.1),
    }


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_groups_by_filter(compiled):
    model = Net()
    before, grads = arrays(model), arrays(nnx.grad(loss)(model))
    optimizer = nnx.Optimizer(model, groups(), wrt=nnx.Param)
    step = nnx.jit(lambda m, o: o.update(m, nnx.grad(loss)(m)))
    (step if compiled else step.__wrapped__)(model, optimizer)
    rates = {"bias": 0.0, "scale": 1.0, "kernel": 0.1}
    for path, value in arrays(model).items():
        expected = before[path] - rates[path[-1]] * grads[path]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def rates() -> optax.Schedule:
    # Its first call makes the 20 a 20.0, in a variable that it closes over.
    return optax.warmup_cosine_decay_schedule(0.0, 0.1, 2, 20)


MANY_STEPS: dict[str, Any] = {
    "one": lambda: optax.adamw(rates()),
    "constant": lambda: {nnx.PathContains("bias"): optax.sgd(0.1), ...: optax.adam(1)},
    "three": lambda: {
        nnx.PathContains("bias"): optax.adam(rates()),
        nnx.PathContains("scale"): optax.sgd(rates(), momentum=0.9),
        ...: optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rates())),
    },
}


@pytest.mark.parametrize("functional", [False, True], ids=["objects", "functional"])
@pytest.mark.parametrize("name", MANY_STEPS)
def test_many_steps_are_one_trace(name, functional):
    model, traced = Net(), []
    optimizer = nnx.Optimizer(model, MANY_STEPS[name](), wrt=nnx.Param)

    def step(model, optimizer):
        traced.append(1)
        optimizer.update(model, nnx.grad(loss)(model))

    def pure_step(graphdef, state):
        objects = nnx.merge(graphdef, state)
        step(*objects)
        return nnx.split(objects)

    compiled, compiled_pure = nnx.jit(step), jax.jit(pure_step)
    parts = nnx.split((model, optimizer))
    for _ in range(4):
        if functional:
            parts = compiled_pure(*parts)
        else:
            compiled(model, optimizer)
    assert len(traced) == 1
    assert nnx.graphdef((model, optimizer)) is parts[0]


GROUP_ERRORS: dict[str, tuple[Any, list[str]]] = {
    "uncovered": (
        {nnx.PathContains("bias"): optax.sgd(0.1)},
        [r"inner\.kernel +Param +none", r"norm\.scale", r"\.\.\.: tx"],
    ),
    "covered_twice": (
        {
            nnx.PathContains("bias"): optax.sgd(0.1),
            nnx.PathContains("outer"): optax.sgd(0.1),
            ...: optax.sgd(0.1),
        },
        [r"outer\.bias +Param .*bias.*outer", "disjoint"],
    ),
    "selects_nothing": (
        {nnx.PathContains("typo"): optax.sgd(0.1), ...: optax.sgd(0.1)},
        ["typo.* selects nothing"],
    ),
    "no_transformation": ({...: 0.1}, ["GradientTransformation|init"]),
}


@pytest.mark.parametrize("name", GROUP_ERRORS)
def test_wrong_groups_are_listed(name):
    tx, patterns = GROUP_ERRORS[name]
    for pattern in patterns:
        with pytest.raises((FilterError, ArgumentError), match=pattern):
            nnx.Optimizer(Net(), tx, wrt=nnx.Param)


# -- transformations that take more arguments


def plateau(model, optimizer, grads, value):
    optimizer.update(model, grads, value=value)


def line_search(model, optimizer, grads, value):
    graphdef, _, rest = nnx.split(model, nnx.Param, ...)

    def value_fn(params):
        state = nnx.state(model, nnx.Param)
        filled = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
        return loss(nnx.merge(graphdef, filled, rest))

    optimizer.update(model, grads, value=value, grad=grads, value_fn=value_fn)


EXTRA: dict[str, tuple[Any, Any]] = {
    "plateau": (
        lambda: optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()),
        plateau,
    ),
    "polyak": (lambda: optax.polyak_sgd(0.5), plateau),
    "lbfgs": (lambda: optax.lbfgs(0.1, linesearch=None), plateau),
    "lbfgs_line_search": (lambda: optax.lbfgs(), line_search),
    "ignored": (lambda: optax.sgd(0.1), plateau),
}


@pytest.mark.filterwarnings("ignore::oakum.errors.StaleStateWarning")  # by choice
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", EXTRA)
def test_extra_arguments(name, compiled):
    make, update = EXTRA[name]

    def step(model, optimizer):
        value, grads = nnx.value_and_grad(loss)(model)
        update(model, optimizer, grads, value)
        return value

    model = Net()
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    run = nnx.jit(step) if compiled else step
    values = [float(run(model, optimizer)) for _ in range(4)]
    assert values[-1] < values[0]


def test_a_learning_rate_in_the_state_is_set_between_steps():
    model = Net()
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = arrays(model)
    optimizer.opt_state.hyperparams["learning_rate"].value = jnp.zeros(())
    optimizer.update(model, nnx.grad(loss)(model))
    assert all((v == before[p]).all() for p, v in arrays(model).items())
    optimizer.opt_state.hyperparams["learning_rate"][...] = jnp.ones(())
    optimizer.update(model, nnx.grad(loss)(model))
    assert any((v != before[p]).any() for p, v in arrays(model).items())


# -- gradients of several kinds, and errors that change nothing

GRADIENTS: dict[str, Any] = {
    "state": lambda g: g,
    "pure_dict": nnx.to_pure_dict,
    "scaled": lambda g: jax.tree.map(lambda x: x * 1.0, g),
    "numpy": lambda g: jax.tree.map(np.asarray, nnx.to_pure_dict(g)),
}


@pytest.mark.parametrize("kind", GRADIENTS)
def test_gradients_may_be(kind):
    model, reference = Net(), Net()
    grads = nnx.grad(loss)(model)
    for net, given in ((model, GRADIENTS[kind](grads)), (reference, grads)):
        nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param).update(net, given)
    ours, expected = arrays(model), arrays(reference)
    assert all((ours[p] == expected[p]).all() for p in expected)


def without(grads: Any) -> Any:
    tree = nnx.to_pure_dict(grads)
    del tree["inner"]["bias"]
    return tree


def reshaped(grads: Any) -> Any:
    tree = nnx.to_pure_dict(grads)
    tree["inner"]["kernel"] = jnp.ones((3, 3))
    return tree


UPDATES: dict[str, tuple[Any, type[Exception], str]] = {
    "missing": (lambda m, g: (m, without(g)), StructureError, "inner.bias: no grad"),
    "shape": (
        lambda m, g: (m, reshaped(g)),
        StructureError,
        r"inner.kernel: expected shape \(2, 4\), got \(3, 3\)",
    ),
    "unknown": (
        lambda m, g: (m, {**nnx.to_pure_dict(g), "typo": jnp.ones(1)}),
        StructureError,
        "typo: unknown path",
    ),
    "none": (lambda m, g: (m, None), StructureError, "no gradient"),
    "array": (lambda m, g: (m, jnp.ones(3)), StructureError, "no gradient"),
    "nothing": (lambda m, g: (), ArgumentError, "0 positional.*\n.*update\\(grads"),
    "no_model": (lambda m, g: (g,), ArgumentError, "1 positional"),
    "too_many": (lambda m, g: (m, g, g), ArgumentError, "3 positional"),
}


@pytest.mark.parametrize("name", UPDATES)
def test_a_wrong_update_raises_and_changes_nothing(name):
    make, error, text = UPDATES[name]
    model = Net()
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    grads = nnx.grad(loss)(model)
    before = snapshot(model, optimizer)
    with pytest.raises(error, match=text):
        optimizer.update(*make(model, grads))
    assert snapshot(model, optimizer) == before


def test_another_model_for_a_bound_optimizer_raises():
    model = Net()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1))
    with pytest.raises(ArgumentError, match="bound to a model"):
        optimizer.update(Net(), nnx.grad(loss)(model))


CONSTRUCTIONS: dict[str, tuple[Any, type[Exception], str]] = {
    "wrt_selects_nothing": (
        lambda: nnx.Optimizer(Net(), optax.sgd(0.1), wrt=nnx.Cache),
        FilterError,
        r"wrt=Cache selects no.*Net\n.*BatchStat, Param\n.*wrt=nnx.Param",
    ),
    "no_parameters": (
        lambda: nnx.Optimizer(nnx.Dict(), optax.sgd(0.1)),
        FilterError,
        "no state",
    ),
    "tx_is_a_number": (
        lambda: nnx.Optimizer(Net(), 0.1, wrt=nnx.Param),
        ArgumentError,
        r"got float\n.*optax.adam",
    ),
    "tx_is_not_called": (
        lambda: nnx.Optimizer(Net(), optax.adam, wrt=nnx.Param),
        ArgumentError,
        "got function",
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_a_wrong_construction_raises(name):
    assert_raises(*CONSTRUCTIONS[name])


def test_update_names_its_parameters():
    # Programs ask for them, to serve older versions of flax as well.
    named = list(inspect.signature(nnx.Optimizer.update).parameters)
    assert named[1:3] == ["model", "grads"]


def test_tied_weights_are_updated_once():
    model = nnx.Dict(a=nnx.Param(jnp.ones(2)))
    model.b = model.a
    optimizer = nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: (m.a.value + m.b.value).sum())(model))
    assert model.a.value.tolist() == [-1.0, -1.0]
    assert model.a is model.b
