"""What a compiled call remembers: trace counts, hot path, donation, lifetimes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from tests.models import Counting, Pair, Wide, count_events

LENGTH = 1 << 12  # long enough for XLA to share buffers with NumPy


def make_step() -> Any:
    @nnx.jit
    def step(model, optimizer, x):
        def loss(model):
            return ((model(x) - 1.0) ** 2).mean()

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return value

    return step


@pytest.fixture
def loose():
    """optax.adam needs implicit promotion of a step count."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_pair(tx: Any) -> tuple[Any, Any]:
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, tx, wrt=nnx.Param)


# -- trace counts


def test_a_training_loop_is_traced_once(loose):
    step, (model, optimizer) = make_step(), make_pair(optax.adam(1e-2))
    losses = [float(step(model, optimizer, jnp.ones((4, 2)))) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert step._cache_size() == 1


TRANSFORMATIONS = {
    "adam": lambda: optax.adam(1e-3),
    "chain": lambda: optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(0.1, 9))
    ),
    "masked": lambda: optax.masked(optax.sgd(0.1), lambda p: jax.tree.map(np.ndim, p)),
    "groups": lambda: {
        nnx.PathContains("bias"): optax.sgd(0.1),
        ...: optax.adam(1e-2),
    },
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_rebuilt_optimizer_is_not_traced_again(name, loose):
    step = make_step()
    for _ in range(10):
        model, optimizer = make_pair(TRANSFORMATIONS[name]())
        step(model, optimizer, jnp.ones((4, 2)))
    assert step._cache_size() == 1


def test_other_hyperparameters_are_traced_again(loose):
    step = make_step()
    ends = []
    for rate in (1e-3, 1e-1, 1e-3):
        model, optimizer = make_pair(optax.sgd(rate))
        step(model, optimizer, jnp.ones((4, 2)))
        ends.append(model.kernel.value.tolist())
    assert step._cache_size() == 2
    assert ends[0] == ends[2] != ends[1]


def test_a_new_learning_rate_in_the_state_is_used_without_a_trace(loose):
    step = make_step()
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    model, optimizer = make_pair(tx)
    step(model, optimizer, jnp.ones((4, 2)))
    optimizer.opt_state.hyperparams["learning_rate"].value = jnp.zeros(())
    before = np.asarray(model.kernel.value)
    step(model, optimizer, jnp.ones((4, 2)))
    np.testing.assert_array_equal(model.kernel.value, before)
    assert step._cache_size() == 1


class Compiled(nnx.Module):
    """A model that holds a compiled function."""

    def __init__(self, **options: Any):
        self.w = nnx.Param(jnp.ones(2))
        self.run = nnx.jit(lambda w, x: w.value * x, **options)

    def __call__(self, x: Any) -> Any:
        return self.run(self.w, x)


def test_a_rebuilt_model_that_holds_a_used_jitted_function_is_not_traced_again():
    step = nnx.jit(lambda model, x: model(x))
    for size in [(), (1,), (2,)]:
        model = Compiled()
        model(jnp.ones(2) if size != (1,) else jnp.ones(1))
        step(model, jnp.ones(2))
    assert step._cache_size() == 1
    step(Compiled(donate=False), jnp.ones(2))
    assert step._cache_size() == 2


CALLS: dict[str, tuple[Any, int]] = {
    "shapes": (lambda m, i: (m, jnp.ones((1 + i % 2, 3))), 2),
    "dtypes": (lambda m, i: (m, jnp.ones(3, [jnp.float32, jnp.int32][i % 2])), 2),
    "models": (lambda m, i: (Pair(), jnp.ones(3)), 1),
    "modes": (lambda m, i: (m.set_attributes(mode=str(i % 2)) or m, jnp.ones(3)), 2),
    "numpy": (lambda m, i: (m, [np, jnp][i % 2].ones(3, np.float32)), 1),
    "held": (lambda m, i: (m, jnp.ones(3), HELD.append(m.a.value))[:2], 1),
    "pytrees": (lambda m, i: (m, [jnp.ones(3)] * (1 + i % 2)), 2),
    "metadata": (lambda m, i: m.a.set_metadata(i=i % 2) or (m, jnp.ones(3)), 2),
}
HELD: list[Any] = []


@pytest.mark.parametrize("case", CALLS)
def test_trace_count(case):
    make, expected = CALLS[case]

    @nnx.jit
    def step(model, x):
        model.a.value = model.a.value + 1
        return jax.tree.map(lambda x: x * 2, x)

    model = Pair()
    for i in range(8):
        step(*make(model, i))
    assert step._cache_size() == expected
    assert model.a.value.tolist() == [1.0 if case == "models" else 9.0] * 3


# -- the hot path


def python_calls(function: Any, *args: Any) -> int:
    """How many calls of Python and of C functions a call takes."""
    return count_events(lambda _, e: e in ("call", "c_call"), function, *args)


def write_all(model):
    for weight in model.weights:
        weight.value = weight.value + 1


def read_all(model):
    return sum([w.value for w in model.weights], jnp.zeros(2))


def write_and_return(model):
    write_all(model)
    return {"sum": read_all(model), "none": None}


@pytest.mark.parametrize("body", [write_all, read_all, write_and_return])
def test_no_python_call_per_leaf(body):
    counts = []
    for size in (4, 400):
        jitted, model = nnx.jit(body), Wide(size)
        for _ in range(3):
            jitted(model)
        counts.append(python_calls(jitted, model))
    # `map` calls C-level getters and setters, which the profiler does not see.
    assert counts[0] == counts[1] < 60


def test_aliased_bytes_are_the_bytes_of_the_written_state(loose):
    step, (model, optimizer) = make_step(), make_pair(optax.adam(1e-2))
    compiled = step.lower(model, optimizer, jnp.ones((4, 2))).compile()
    written = jax.tree.leaves((nnx.state(model), nnx.state(optimizer)))
    assert compiled.memory_analysis().alias_size_in_bytes == sum(
        leaf.nbytes for leaf in written
    )


def test_read_state_is_neither_output_nor_donated():
    jitted = nnx.jit(lambda m, x: m.a.set_value(m.a.value + m.b.value * x))
    analysis = jitted.lower(Pair(), 2.0).compile().memory_analysis()
    assert analysis.alias_size_in_bytes == Pair().a.nbytes


def test_donate_false_keeps_the_old_arrays():
    model = Pair()
    refs = weakref.ref(model.a.value)
    jitted = nnx.jit(lambda m: m.a.set_value(m.a.value + 1), donate=False)
    analysis = jitted.lower(model).compile().memory_analysis()
    assert analysis.alias_size_in_bytes == 0
    jitted(model)
    assert refs() is None or not refs().is_deleted()


# -- donation is safe


@nnx.jit
def grow(variable):
    variable.value = variable.value * 2 + 1


HOLDERS: dict[str, Any] = {
    "local": lambda x: x,
    "list": lambda x: [x],
    "numpy_view": np.asarray,
    "memoryview": lambda x: memoryview(np.asarray(x)),
    "device_get": jax.device_get,
    "from_dlpack": jnp.from_dlpack,
    "numpy_dlpack": np.from_dlpack,
    "shard": lambda x: x.addressable_shards[0].data,
    "asarray": jnp.asarray,
    "reshape": lambda x: x.reshape(-1),
    "slice": lambda x: x[:],
    "other_device": lambda x: jax.device_put(x, jax.devices()[1]),
    "variable": nnx.Param,
    "clone": lambda x: nnx.clone(nnx.Param(x)),
    "state": lambda x: nnx.state(nnx.Dict(x=nnx.Param(x))),
    "closure": lambda x: lambda: x,
    "exception": lambda x: ValueError(x),
}


def first_number(held: Any) -> float:
    held = held() if type(held) is type(lambda: 0) else held
    held = held.args[0] if isinstance(held, ValueError) else held
    leaf = jax.tree.leaves(held)[0]
    return float(np.asarray(leaf).ravel()[0])


def grown_twice(take: Callable[[jax.Array], Any]) -> tuple[nnx.Param, Any]:
    """A Variable after two steps, and what was taken of its value between them."""
    variable = nnx.Param(jnp.zeros(LENGTH))
    grow(variable)
    taken = take(variable.value)
    grow(variable)
    return variable, taken


@pytest.mark.parametrize("name", HOLDERS)
def test_a_held_array_survives_the_step(name):
    variable, held = grown_twice(HOLDERS[name])
    grow(variable)
    assert first_number(held) == 1.0
    assert float(variable.value[0]) == 7.0


ALIASES: dict[str, Any] = {
    "device_put": lambda x: jax.device_put(x, x.sharding),
    "addressable_data": lambda x: x.addressable_data(0),
    "from_single_device": lambda x: jax.make_array_from_single_device_arrays(
        x.shape, x.sharding, [x]
    ),
}


@pytest.mark.parametrize("name", ALIASES)
def test_another_array_over_the_same_buffer_is_right_or_a_clear_error(name):
    variable, alias = grown_twice(ALIASES[name])
    assert float(variable.value[0]) == 3.0
    if alias.is_deleted():
        with pytest.raises(RuntimeError, match="deleted"):
            alias[0]
    else:
        assert float(alias[0]) == 1.0


@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_in_a_second_variable_is_right_or_a_clear_error(name):
    first, second = nnx.Param(jnp.zeros(LENGTH)), nnx.Param(jnp.zeros(LENGTH))
    grow(first)
    second.value = ALIASES[name](first.value)
    step = nnx.jit(lambda u, v: (u.set_value(u.value + 1), v.set_value(v.value * 5)))
    failed = ""
    try:
        step(first, second)
    except (RuntimeError, ValueError) as error:
        failed = str(error)
    expected = (1.0, 1.0) if "donate the same buffer twice" in failed else (2.0, 5.0)
    assert (float(first.value[0]), float(second.value[0])) == expected


SOURCES: dict[str, Any] = {
    "numpy": lambda n: n,
    "asarray": jnp.asarray,
    "device_put": jax.device_put,
    "may_alias": lambda n: jax.device_put(n, may_alias=True),
    "from_dlpack": jnp.from_dlpack,
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_numpy_array_that_state_came_from_is_not_overwritten(name):
    memory = np.zeros(4 * LENGTH + 64, np.uint8)
    start = -memory.ctypes.data % 64  # aligned, so that JAX takes it without a copy
    source = memory[start : start + 4 * LENGTH].view(np.float32)
    variable = nnx.Param(jnp.zeros(LENGTH))
    grow(variable)
    variable.value = SOURCES[name](source)
    grow(variable)
    grow(variable)
    assert not source.any()
    assert float(variable.value[0]) == 3.0


def test_one_array_in_two_variables():
    model = Pair()
    model.b.value = model.a.value

    @nnx.jit
    def step(m):
        m.a.value = m.a.value + 1
        m.b.value = m.b.value * 3

    for _ in range(3):
        step(model)
    assert (float(model.a.value[0]), float(model.b.value[0])) == (4.0, 27.0)


def test_array_also_passed_as_an_argument():
    step = nnx.jit(lambda v, x, k: v.set_value(v.value + x + k["x"][0]))
    variable = nnx.Param(jnp.ones(LENGTH))
    for _ in range(3):
        step(variable, variable.value, k={"x": [variable.value]})
    assert float(variable.value[0]) == 27.0


def test_returned_arrays_survive_later_steps():
    @nnx.jit
    def step(v, x):
        old = v.value
        v.value = old + x
        return old, v.value, x

    variable = nnx.Param(jnp.zeros(LENGTH))
    x = jnp.ones(LENGTH)
    results = [[float(a[0]) for a in r] for r in [step(variable, x) for _ in range(3)]]
    assert results == [[0.0, 1.0, 1.0], [1.0, 2.0, 1.0], [2.0, 3.0, 1.0]]


def test_argument_stored_as_state_survives():
    store = nnx.jit(lambda v, x: v.set_value(x))
    variable, x = nnx.Param(jnp.zeros(LENGTH)), jnp.ones(LENGTH)
    store(variable, x)
    for _ in range(3):
        grow(variable)
    assert (float(x[0]), float(variable.value[0])) == (1.0, 15.0)


def test_ema_copy_survives():
    model = Counting()
    average = nnx.clone(model)
    step = nnx.jit(lambda m: m.advance())
    for _ in range(3):
        step(model)
    assert model.agrees()
    assert average.agrees()
    assert (int(model.step.value), int(average.step.value)) == (3, 0)


def test_shapes_that_write_other_variables():
    @nnx.jit
    def step(m, x):
        target = m.a if x.shape[0] == 1 else m.b
        target.value = target.value + 1

    model = Pair()
    for n in (1, 2, 1, 2, 2):
        step(model, jnp.ones(n))
    assert (float(model.a.value[0]), float(model.b.value[0])) == (3.0, 4.0)


def test_state_that_changes_shape_is_not_donated_and_does_not_warn():
    append = nnx.jit(lambda v, x: v.set_value(jnp.concatenate([v.value, x])))
    cache = nnx.Cache(jnp.zeros(1))
    for n in (0, 1, 2, 0):
        append(cache, jnp.ones(n))
    assert cache.value.tolist() == [0.0, 1.0, 1.0, 1.0]


# -- lifetimes


def test_a_model_is_freed_though_the_function_lives():
    step = nnx.jit(lambda m: m.a.set_value(m.a.value + 1))
    model = Pair()
    step(model)
    step(model)
    gone = [weakref.ref(o) for o in (model, model.a, model.items[0], model.a.value)]
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None] * 4


def test_a_model_and_its_optimizer_are_freed(loose):
    step, (model, optimizer) = make_step(), make_pair(optax.adam(1e-2))
    step(model, optimizer, jnp.ones((4, 2)))
    gone = [weakref.ref(model), weakref.ref(optimizer), weakref.ref(model.kernel)]
    del model, optimizer
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3


def test_an_object_at_the_address_of_a_dead_one_is_another():
    read = nnx.jit(lambda v: v.value)
    for i in range(200):
        assert float(read(nnx.Dict(value=jnp.full((), float(i))))) == i


def test_plans_are_bounded():
    read = nnx.jit(lambda v: v.value)
    variables = [nnx.Param(jnp.full((), float(i))) for i in range(300)]
    for _ in range(2):
        assert [float(read(v)) for v in variables] == list(map(float, range(300)))
    assert read._cache_size() == 1
    alive = [weakref.ref(v) for v in variables]
    del variables
    gc.collect()
    assert sum(ref() is not None for ref in alive) <= 64


def test_a_plan_keeps_no_model_alive_that_its_child_refers_back_to():
    class Child(nnx.Module):
        def __init__(self, parent):
            self.weight = nnx.Param(jnp.ones(1))
            self.parents = [parent, {"a": parent}]

    class Parent(nnx.Module):
        def __init__(self):
            self.child = Child(self)

    model = Parent()
    forward = nnx.jit(lambda m: m.child.weight + 1)
    assert forward(model).tolist() == forward(model).tolist() == [2.0]
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_traces_of_like_functions_share_what_they_did():
    # JAX compares the outputs of each trace with those of all others of their form.
    model, kept = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), []
    for _ in range(3):
        kept.append(nnx.jit(lambda m, x: {"y": m(x)}).trace(model, jnp.ones((1, 2))))
    assert len({id(*traced.out_info) for traced in kept}) == 1
