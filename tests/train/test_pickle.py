"""Modules, optimizers and GraphDefs pickle, functions by value included."""

import copy
import functools
import math
import multiprocessing
import pickle
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum._objects import _pickle
from oakum.errors import FunctionPickleError


class Holder(nnx.Module):
    """Holds whatever it is given."""

    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


class Config:
    """Hashed by identity."""


def scaled(factor):
    def scale(x, *, plus=0.0):
        return factor * x + plus + OFFSET

    return scale


OFFSET = 10.0


def there_and_back(value):
    return pickle.loads(pickle.dumps(value))


def train_step(model, optimizer, x):
    grads = nnx.grad(lambda m: (m(x) ** 2).sum())(model)
    with jax.numpy_dtype_promotion("standard"):  # optax needs it
        optimizer.update(grads)


def make_trained(tx):
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, tx)
    train_step(model, optimizer, jnp.ones((1, 2)))
    return model, optimizer


def all_of(params):
    return jax.tree.map(lambda _: True, params)


TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.1, momentum=0.9),
    "adam": lambda: optax.adam(1e-3),
    "adamw": lambda: optax.adamw(1e-3),
    "schedule": lambda: optax.adam(optax.cosine_decay_schedule(1e-2, 10)),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.lamb(1e-3)),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    "masked": lambda: optax.masked(optax.sgd(0.1), all_of),
    "groups": lambda: {nnx.PathContains("bias"): optax.sgd(0.1), ...: optax.adam(0.1)},
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_an_optimizer_trains_on_after_pickling(name):
    model, optimizer = make_trained(TRANSFORMATIONS[name]())
    other_model, other = there_and_back((model, optimizer))
    assert other.model is other_model
    for m, o in ((model, optimizer), (other_model, other)):
        train_step(m, o, jnp.full((1, 2), 0.5))
    np.testing.assert_array_equal(other_model.kernel, model.kernel)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(other), nnx.state(optimizer))


def test_a_compiled_step_is_found_again_for_a_pickled_optimizer():
    traces = []

    @nnx.jit
    def step(model, optimizer, x):
        traces.append(1)
        train_step(model, optimizer, x)

    model, optimizer = make_trained(optax.adam(1e-3))
    pair = there_and_back((model, optimizer))
    step(model, optimizer, jnp.ones((1, 2)))
    step(*pair, jnp.ones((1, 2)))
    assert len(traces) == 1


def test_a_graphdef_with_closures_is_the_same_one():
    _, optimizer = make_trained(optax.adam(1e-3))
    graphdef, state = nnx.split(optimizer)
    assert there_and_back(graphdef) is graphdef
    assert there_and_back(jax.tree.structure(optimizer)) == jax.tree.structure(
        optimizer
    )
    merged = nnx.merge(there_and_back(graphdef), there_and_back(state))
    np.testing.assert_array_equal(merged.model.kernel, optimizer.model.kernel)


@pytest.mark.parametrize(
    "function",
    [
        scaled(2.0),
        lambda x, plus=0.0: 2.0 * x + plus + OFFSET,
        functools.partial(scaled(2.0), plus=0.0),
        functools.wraps(math.sin)(lambda x, plus=0.0: 2.0 * x + plus + OFFSET),
    ],
    ids=["closure", "lambda", "partial", "wrapped"],
)
def test_functions_keep_what_they_do(function):
    other = there_and_back(Holder(f=function)).f
    assert other(3.0) == 16.0
    assert other(3.0, plus=1.0) == 17.0
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__dict__"):
        if isinstance(function, types.FunctionType):
            assert getattr(other, name) == getattr(function, name)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: (f, nnx.relu),
        lambda f: [f],
        lambda f: {"f": f},
        lambda f: (nnx.Param(jnp.ones(2)), f),
        lambda f: nnx.Sequential(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), f),
        lambda f: nnx.Param(jnp.ones(2), on_get_value=lambda v, x: f(x)),
        lambda f: nnx.static({"f": [f]}),
    ],
    ids=["tuple", "list", "dict", "data tuple", "Sequential", "hook", "static"],
)
def test_functions_are_found_wherever_they_stand(wrap):
    holder = Holder(x=wrap(scaled(3.0)))
    other = there_and_back(holder)
    assert nnx.graphdef(other) == nnx.graphdef(holder)
    assert other.x is not holder.x


def test_a_function_that_calls_itself():
    def fact(n):
        return 1 if n == 0 else n * fact(n - 1)

    assert there_and_back(Holder(f=fact)).f(5) == 120


def test_functions_that_call_each_other_share_their_cells():
    count = 0

    def even(n):
        nonlocal count
        count += 1
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    def calls():
        return count

    other_even, other_calls = there_and_back(Holder(fs=(even, calls))).fs
    assert other_even(4)
    assert other_calls() == 3
    assert calls() == 0


def test_a_function_whose_cell_is_empty():
    def make():
        def f():
            return late

        if OFFSET < 0:
            late = 1
        return f

    with pytest.raises(NameError, match="late"):
        there_and_back(Holder(f=make())).f()


def test_a_function_that_closes_over_its_own_module():
    model = Holder(w=nnx.Param(jnp.ones(2)))
    model.f = lambda: model.w
    model.g = np.ones(2), lambda: np
    other = there_and_back(model)
    assert other.f() is other.w
    assert other.w is not model.w
    assert other.g[1]() is np


def test_a_hook_that_closes_over_its_variable():
    variable = nnx.Param(jnp.ones(2))
    variable.set_metadata(on_get_value=lambda v, x: (variable, x)[1])
    other = there_and_back(variable)
    np.testing.assert_array_equal(other.value, jnp.ones(2))


def test_a_list_below_itself():
    model = Holder(layers=[Holder()])
    model.layers[0].siblings = model.layers
    for other in (there_and_back(model), copy.deepcopy(model)):
        assert other.layers[0].siblings is other.layers
        assert other.layers is not model.layers


def test_what_needs_no_bytecode_stays_shared():
    first = Holder(config=Config(), f=scaled(1.0))
    other, config = there_and_back((first, first.config))
    assert other.config is config


def test_deepcopy_keeps_functions():
    f = scaled(2.0)
    holder = Holder(f=f, layers=[f], heads={"f": f}, w=nnx.Param(jnp.ones(2), tag="x"))
    for other in (copy.deepcopy(holder), copy.copy(holder)):
        assert other.f is f
        assert other.layers[0] is f
        assert other.heads["f"] is f
    other = copy.deepcopy(holder)
    assert other.w is not holder.w
    assert other.layers is not holder.layers
    assert nnx.graphdef(other) == nnx.graphdef(holder)


def test_deepcopy_keeps_what_is_shared():
    model, optimizer = make_trained(optax.adam(1e-3))
    other_model, other = copy.deepcopy((model, optimizer))
    assert other.model is other_model
    assert other.tx is not None
    assert other.tx.update is optimizer.tx.update
    tied = copy.deepcopy(Holder(a=model.kernel, b=[model.kernel]))
    assert tied.b[0] is tied.a


def test_copies_of_containers_keep_their_items():
    layers = nnx.List([nnx.Param(jnp.ones(2)), scaled(1.0)])
    assert list(map(id, copy.copy(layers))) == list(map(id, layers))
    heads = nnx.Dict(a=layers[0], b=layers[1])
    assert copy.copy(heads)["b"] is heads["b"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nnx.Rngs(0, dropout=1),
        lambda: nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))),
        lambda: nnx.MultiMetric(loss=nnx.metrics.Average()),
        lambda: nnx.EMA(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), 0.9, only=nnx.Param),
        lambda: nnx.Linear(
            2, 3, kernel_init=lambda *a: jnp.ones((2, 3)), rngs=nnx.Rngs(0)
        ),
    ],
    ids=["Rngs", "State", "metrics", "EMA", "initializer"],
)
def test_everything_else_pickles(make):
    value = make()
    other = there_and_back(value)
    assert nnx.graphdef(other) == nnx.graphdef(value)
    assert str(other) == str(value)


def _train_in_child(model, optimizer, x):
    train_step(model, optimizer, x)
    return model, optimizer


@pytest.mark.slow
def test_a_spawned_process_trains_a_model_with_closures():
    model, optimizer = make_trained(optax.adamw(1e-2))
    model.f = scaled(2.0)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        x = np.ones((1, 2), np.float32)
        child, _ = pool.apply(_train_in_child, (model, optimizer, x))
    train_step(model, optimizer, jnp.ones((1, 2)))
    np.testing.assert_allclose(child.kernel.value, model.kernel.value, rtol=1e-6)
    assert child.f(3.0) == 16.0


def test_bytecode_of_another_python_is_refused(monkeypatch):
    content = pickle.dumps(Holder(f=scaled(2.0)))
    monkeypatch.setattr(_pickle, "_BYTECODE", b"other")
    with pytest.raises(
        FunctionPickleError, match=r"bytecode of CPython(?s:.*)nnx.save"
    ):
        pickle.loads(content)


def test_a_module_that_is_gone_is_named(monkeypatch):
    content = pickle.dumps(Holder(f=scaled(2.0)))

    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(_pickle.importlib, "import_module", refuse)
    with pytest.raises(
        FunctionPickleError, match=r"cannot be imported here(?s:.*)sys.path"
    ):
        pickle.loads(content)


def test_a_function_without_a_module_is_refused():
    space = {"__name__": "nowhere"}
    exec("f = lambda x: x", space)
    with pytest.raises(pickle.PickleError, match=r"'nowhere'(?s:.*)<string>:1"):
        pickle.dumps(Holder(f=space["f"]))


@nnx.jit
def at_module_level(model, x):
    return model(x)


def test_a_jitted_function_of_a_module_pickles_by_its_name():
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


SENT = {
    "jit": lambda: nnx.jit(lambda model, x: model(x)),
    "static argument": lambda: nnx.jit(
        lambda model, x, n=1: model(x) * n, static_argnames="n"
    ),
    "grad inside": lambda: nnx.jit(
        lambda model, x: nnx.grad(lambda m: m(x).sum())(model)["bias"].get_value()
    ),
}


@pytest.mark.parametrize("kind", SENT)
@pytest.mark.parametrize("used", [False, True])
def test_a_jitted_function_survives_cloudpickle(kind, used):
    cloudpickle = pytest.importorskip("cloudpickle")
    model, x = nnx.Linear(4, 1, rngs=nnx.Rngs(0)), jnp.ones((1, 4))
    function = SENT[kind]()
    expected = function(model, x)
    sent = function if used else SENT[kind]()
    again, other = cloudpickle.loads(cloudpickle.dumps((sent, model)))
    for _ in range(3):
        assert jnp.allclose(again(other, x), expected)
    assert again._cache_size() == 1
    assert function(model, x).shape == expected.shape


WRAPPED = {
    "vmap": lambda: nnx.vmap(lambda m, x: m(x), in_axes=(None, 0)),
    "scan": lambda: nnx.scan(
        lambda m, x: m(x), in_axes=(None, 0), out_axes=0, length=2
    ),
    "grad": lambda: nnx.grad(lambda m, x: m(x).sum()),
    "remat": lambda: nnx.remat(lambda m, x: m(x)),
    "checkify": lambda: nnx.checkify(lambda m, x: m(x)),
    "custom_vjp": lambda: nnx.custom_vjp(lambda m, x: m(x)),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_a_transform_returns_survives_cloudpickle(kind):
    cloudpickle = pytest.importorskip("cloudpickle")
    model, x = nnx.Linear(4, 1, rngs=nnx.Rngs(0)), jnp.ones((2, 4))
    function = WRAPPED[kind]()
    if kind == "custom_vjp":
        function.defvjp(lambda m, x: (m(x), None), lambda _, g: (g[0], None))
    again = cloudpickle.loads(cloudpickle.dumps(function))
    for one, other in zip(
        jax.tree.leaves(function(model, x)),
        jax.tree.leaves(again(model, x)),
        strict=True,
    ):
        assert jnp.array_equal(one, other)
