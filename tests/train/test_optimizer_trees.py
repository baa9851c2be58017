"""What optax is shown: masks and labels of any form, bare arrays, pytrees, updates."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError, StructureError

X = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)


@pytest.fixture(autouse=True)
def loose():
    """optax counts its steps in integers, and promotes them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Net(nnx.Module):
    def __init__(self):
        self.a = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.b = nnx.Linear(2, 1, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.b(self.a(x))


def loss(model):
    return ((model(X) - 1.0) ** 2).mean()


@nnx.jit
def step(model, optimizer):
    return optimizer.update(model, nnx.grad(loss)(model))


def arrays(model: Any) -> dict[Any, Any]:
    return {p: np.asarray(v) for p, v in nnx.to_flat_state(nnx.state(model, nnx.Param))}


# -- masks and labels: all kernels are trained, and no bias


def is_kernel(path, _):
    return path[-1] == "kernel"


def params() -> Any:
    return nnx.state(Net(), nnx.Param)


MASKS: dict[str, Any] = {
    "dict": lambda: {name: {"kernel": True, "bias": False} for name in "ab"},
    "pure_dict": lambda: jax.tree.map(lambda x: x.ndim > 1, nnx.to_pure_dict(params())),
    "map_state": lambda: nnx.map_state(is_kernel, params()),
    "callable": lambda: lambda p: jax.tree.map(lambda x: x.ndim > 1, p),
    "callable_of_dicts": lambda: (
        lambda p: {n: {k: k == "kernel" for k in below} for n, below in p.items()}
    ),
}


def both(mask: Any, of: Any) -> Any:
    """The mask, or a function that gives it, with `of` of its leaves."""
    if callable(mask):
        return lambda p: both(mask(p), of)
    return jax.tree.map(of, mask)


TRANSFORMATIONS: dict[str, Any] = {
    "masked": lambda m: optax.chain(
        optax.masked(optax.set_to_zero(), both(m, lambda x: not x)), optax.adam(0.1)
    ),
    "partition": lambda m: optax.partition(
        {"t": optax.adam(0.1), "f": optax.set_to_zero()},
        both(m, lambda x: "t" if x else "f"),
    ),
    "multi_transform": lambda m: optax.multi_transform(
        {"t": optax.sgd(0.1, momentum=0.9), "f": optax.set_to_zero()},
        both(m, lambda x: "t" if x else "f"),
    ),
    "multi_steps": lambda m: optax.MultiSteps(TRANSFORMATIONS["partition"](m), 1),
    "inject": lambda m: optax.partition(
        {
            "t": optax.inject_hyperparams(optax.adam)(0.1),
            "f": optax.set_to_zero(),
        },
        both(m, lambda x: "t" if x else "f"),
    ),
    "inject_outside": lambda m: optax.chain(
        optax.inject_hyperparams(optax.adamw, static_args=("mask",))(
            0.1, weight_decay=0.1, mask=m
        ),
        optax.masked(optax.set_to_zero(), both(m, lambda x: not x)),
    ),
}


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_masks_and_labels_may_be(name, kind):
    model = Net()
    tx = TRANSFORMATIONS[name](MASKS[kind]())
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    before = arrays(model)
    for _ in range(2):
        step(model, optimizer)
    moved = {
        path for path, value in arrays(model).items() if (value != before[path]).any()
    }
    assert moved == {("a", "kernel"), ("b", "kernel")}
    assert all(map(nnx.is_data, jax.tree.leaves(optimizer.opt_state)))


PREFIXES: dict[str, Any] = {
    "dict": {"a": "f", "b": "t"},
    "deeper": {"a": {"kernel": "f", "bias": "f"}, "b": "t"},
    "state": nnx.State({"a": "f", "b": "t"}),
    "groups": {nnx.PathContains("a"): "f", ...: "t"},
}


@pytest.mark.parametrize("kind", PREFIXES)
def test_labels_may_be_a_prefix(kind):
    model, groups = Net(), {"t": optax.adam(0.1), "f": optax.set_to_zero()}
    labels = PREFIXES[kind]
    tx: Any = optax.partition(groups, labels)
    if kind == "groups":
        tx = {filter: groups[label] for filter, label in labels.items()}
    before = arrays(model)
    step(model, nnx.Optimizer(model, tx, wrt=nnx.Param))
    moved = {path[0] for path, v in arrays(model).items() if (v != before[path]).any()}
    assert moved == {"b"}


def test_masks_of_two_forms_raise_and_say_so():
    mixed = optax.chain(
        optax.masked(optax.sgd(0.1), MASKS["dict"]()),
        optax.masked(optax.sgd(0.1), MASKS["map_state"]()),
    )
    with pytest.raises(ArgumentValueError, match=r"(?s)all masks.*PathContains"):
        nnx.Optimizer(Net(), mixed, wrt=nnx.Param)


def test_a_mask_of_variables_raises_and_says_what_makes_plain_values():
    mask = jax.tree.map(lambda x: x.ndim > 1, params())
    with pytest.raises(ArgumentValueError, match=r"nnx.map_state\(lambda path, v"):
        nnx.Optimizer(Net(), optax.masked(optax.sgd(0.1), mask), wrt=nnx.Param)


def test_an_error_of_a_label_function_is_its_own():
    tx = optax.partition({"t": optax.sgd(0.1)}, lambda p: {}["no such key"])
    with pytest.raises(KeyError, match="no such key"):
        nnx.Optimizer(Net(), tx, wrt=nnx.Param)


# -- the updates


@pytest.mark.parametrize("form", ["free", "bound"])
@pytest.mark.parametrize("kind", MASKS)
def test_update_returns_what_it_added(form, kind):
    model = Net()
    tx = TRANSFORMATIONS["partition"](MASKS[kind]())
    optimizer: Any = (
        nnx.Optimizer(model, tx, wrt=nnx.Param)
        if form == "free"
        else nnx.ModelAndOptimizer(model, tx)
    )
    before = arrays(model)
    updates = optimizer.update(*([model] * (form == "free")), nnx.grad(loss)(model))
    assert isinstance(updates, nnx.State)
    for path, added in nnx.to_flat_state(updates):
        expected = arrays(model)[path] - before[path]
        np.testing.assert_allclose(added, expected, atol=1e-6)


def test_the_gradient_of_the_whole_serves_an_optimizer_of_a_part():
    model, only = Net(), nnx.PathContains("b")
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=only)
    before = arrays(model)
    step(model, optimizer)
    moved = {path[0] for path, v in arrays(model).items() if (v != before[path]).any()}
    assert moved == {"b"}


# -- hyperparameters

RATES: dict[str, Any] = {
    "float": 0.5,
    "array": lambda: jnp.asarray(0.5),
    "numpy": np.float32(0.5),
    "half": lambda: jnp.asarray(0.5, jnp.bfloat16),
}
SETTERS: dict[str, Any] = {
    "item": lambda h, r: h.__setitem__("learning_rate", r),
    "attribute": lambda h, r: setattr(h, "learning_rate", r),
    "update": lambda h, r: h.update(learning_rate=r),
    "ior": lambda h, r: h.__ior__({"learning_rate": r}),
    "value": lambda h, r: setattr(h["learning_rate"], "value", jnp.float32(r)),
}
INJECTED: dict[str, tuple[Any, Any]] = {
    "alone": (lambda tx: tx, lambda s: s.hyperparams),
    "chained": (
        lambda tx: optax.chain(optax.clip(1e9), tx),
        lambda s: s[1].hyperparams,
    ),
    "multi_steps": (
        lambda tx: optax.MultiSteps(tx, 1),
        lambda s: s.inner_opt_state.hyperparams,
    ),
    "partition": (
        lambda tx: optax.partition({"x": tx}, {"a": "x", "b": "x"}),
        lambda s: s.inner_states["x"].inner_state.hyperparams,
    ),
}


ASSIGNMENTS = [
    *(("alone", setter, "float") for setter in SETTERS),
    *(("alone", "item", rate) for rate in RATES if rate != "float"),
    *((where, "item", "array") for where in INJECTED if where != "alone"),
]


@pytest.mark.parametrize(("where", "setter", "rate"), ASSIGNMENTS)
def test_a_hyperparameter_is_set_by_assignment(where, setter, rate):
    wrap, find = INJECTED[where]
    model = Net()
    optimizer = nnx.Optimizer(
        model, wrap(optax.inject_hyperparams(optax.sgd)(1e-2)), wrt=nnx.Param
    )
    compiled = nnx.jit(lambda m, o: o.update(m, nnx.grad(loss)(m)))
    compiled(model, optimizer)
    given = RATES[rate]
    SETTERS[setter](find(optimizer.opt_state), given() if callable(given) else given)
    grads = nnx.grad(loss)(model)
    updates = compiled(model, optimizer)
    np.testing.assert_allclose(updates.b.bias, -0.5 * grads.b.bias.value, rtol=1e-5)
    assert compiled._cache_size() == 1


def test_a_state_of_bare_arrays_is_taken_into_variables():
    model, tx = Net(), optax.adam(0.1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    step(model, optimizer)
    optimizer.opt_state = tx.init(nnx.map_state(lambda path, v: v.value, params()))
    step(model, optimizer)
    assert isinstance(optimizer.opt_state[0].mu.a.kernel, nnx.OptVariable)
    assert int(optimizer.opt_state[0].count.value) == 1


# -- bare arrays, and Variables that hold pytrees


class Bare(nnx.Module):
    def __init__(self):
        self.weight = jnp.ones((2, 1))
        self.inner = [{"shift": jnp.zeros(1)}, (jnp.ones(1), 3)]
        self.scale = nnx.Param(jnp.ones(1))
        self.calls = jnp.array(0)

    def __call__(self, x):
        self.calls += 1
        shift = self.inner[0]["shift"] * self.inner[1][0]
        return x @ self.weight * self.scale[None] + shift[None]


NAMES = ("weight", "shift", "scale", 0)


def trained(path, value):
    return path[-1] in NAMES


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: optax.sgd(0.1),
    "adamw": lambda: optax.adamw(0.1),
    "adafactor": lambda: optax.adafactor(0.1),
    "lion": lambda: optax.lion(0.1),
    "lamb": lambda: optax.lamb(0.1),
    "multi_steps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "lbfgs": lambda: optax.lbfgs(0.1, linesearch=None),
    "schedule_free": lambda: optax.contrib.schedule_free_sgd(0.1),
    "injected": lambda: optax.inject_hyperparams(optax.rmsprop)(0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bare_arrays_are_trained_by_path(name):
    model = Bare()
    optimizer = nnx.Optimizer(model, OPTIMIZERS[name](), wrt=trained)

    @nnx.jit
    def step(model, optimizer):
        grads = nnx.grad(loss, argnums=nnx.DiffState(0, trained))(model)
        return optimizer.update(model, grads)

    for _ in range(4):
        updates = step(model, optimizer)
    assert len(nnx.to_flat_state(updates)) == 4
    assert float(loss(model)) < float(loss(Bare()))
    assert int(model.calls) == 5
    assert step._cache_size() == 1


class Pair(NamedTuple):
    w: Any
    b: Any


HELD: dict[str, Any] = {
    "dict": {"w": jnp.ones((2, 1)), "b": jnp.zeros(1)},
    "nested": {"w": jnp.ones((2, 1)), "b": {"c": (jnp.zeros(1),)}},
    "list": [jnp.ones((2, 1)), jnp.zeros(1)],
    "tuple": (jnp.ones((2, 1)), jnp.zeros(1)),
    "named": Pair(jnp.ones((2, 1)), jnp.zeros(1)),
}


class Held(nnx.Module):
    def __init__(self, value):
        self.p = nnx.Param(value)

    def __call__(self, x):
        w, b = sorted(jax.tree.leaves(self.p.get_value()), key=lambda x: -x.ndim)
        return x @ w + b[None]


TRAINED = [
    *(("adamw", held) for held in HELD),
    *((name, "nested") for name in OPTIMIZERS if name != "adamw"),
    ("masked", "dict"),
    ("masked", "list"),
]


@pytest.mark.parametrize(("name", "held"), TRAINED)
def test_a_param_that_holds_a_pytree_is_trained(name, held):
    model = Held(HELD[held])
    make = OPTIMIZERS.get(name, lambda: optax.masked(optax.sgd(0.1), {"p": True}))
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    for _ in range(4):
        step(model, optimizer)
    assert jax.tree.structure(model.p.get_value()) == jax.tree.structure(HELD[held])
    assert float(loss(model)) < float(loss(Held(HELD[held])))


def test_a_gradient_of_another_structure_is_refused():
    model = Held(HELD["dict"])
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    grads = nnx.State({"p": nnx.Param({"w": jnp.ones((2, 1))})})
    with pytest.raises(StructureError, match=r"p: expected b, w, got w"):
        optimizer.update(model, grads)
    grads = nnx.State({"p": nnx.Param({"w": jnp.ones((2, 1)), "b": jnp.ones(3)})})
    with pytest.raises(StructureError, match=r"p.b: expected shape \(1,\), got \(3,\)"):
        optimizer.update(model, grads)


def test_groups_by_filter_train_pytrees_and_bare_arrays():
    model = nnx.Dict(p=nnx.Param(HELD["nested"]), bare=jnp.ones(2))
    groups = {nnx.PathContains("p"): optax.sgd(0.1), ...: optax.sgd(1.0)}
    optimizer = nnx.Optimizer(model, groups, wrt=...)
    ones = jax.tree.map(jnp.ones_like, nnx.state(model))
    updates = optimizer.update(model, ones)
    assert float(updates.p.b.c[0][0]) == pytest.approx(-0.1)
    assert model.bare.tolist() == [0.0, 0.0]


def test_slots_take_the_sharding_that_a_parameter_names_for_them():
    param = nnx.Param(jnp.ones(2), optimizer_sharding=("data",), note="kept")
    model = nnx.Dict(p=param)
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    meta = optimizer.opt_state[0].mu.p.get_metadata()
    assert meta == {"out_sharding": ("data",), "note": "kept"}
