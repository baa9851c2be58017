"""Packed slots of an optimizer: to whoever looks, they are what they always were."""

import copy
import gc
import os
import pickle
import random
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import oakum as nnx
from oakum._compiled import _packing

ROOT = Path(__file__).parents[2]
X = jnp.ones((2, 3))
LAYERS = 6


class Net(nnx.Module):
    def __init__(self, size=3):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List(
            [nnx.Linear(size, size, rngs=rngs) for _ in range(LAYERS)]
        )

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return x


def step(optimizer, x):
    loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).sum())(optimizer.model)
    optimizer.update(grads)
    return loss


def made(tx=None):
    return nnx.Optimizer(Net(), tx or optax.adam(0.1))


def pack_of(jitted):
    (plan,) = jitted.jit._plans.values()
    return plan.packed and plan.packed._pack


def trained(n=3, tx=None):
    optimizer, jitted = made(tx), nnx.jit(step)
    for _ in range(n):
        jitted(optimizer, X)
    return optimizer, jitted


def expected(n=3, tx=None):
    optimizer, jitted = made(tx), nnx.jit(step, donate=False)
    for _ in range(n):
        jitted(optimizer, X)
    return optimizer


def slots(optimizer):
    state = nnx.state(optimizer, nnx.OptState)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


def assert_same(a, b):
    assert_close(jax.tree.leaves(nnx.state(a)), jax.tree.leaves(nnx.state(b)))


def assert_close(a, b):
    """That values are the same but for rounding: see the test of bits."""
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


TRANSFORMS = {
    "adam": lambda: optax.adam(0.1),
    "adamw-schedule": lambda: optax.adamw(optax.linear_schedule(0.1, 0.01, 5)),
    "sgd-momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "lamb": lambda: optax.lamb(0.1),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
    "inject": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "bfloat16-slots": lambda: optax.adam(0.1, mu_dtype=jnp.bfloat16),
    "multi-steps": lambda: optax.MultiSteps(
        optax.adam(0.1), 2
    ).gradient_transformation(),
}


def compare_bits():
    for make in TRANSFORMS.values():
        optimizer, jitted = trained(5, make())
        assert pack_of(jitted).whole
        for x, y in zip(values(optimizer), values(expected(5, make())), strict=True):
            np.testing.assert_array_equal(x, y)


def values(optimizer):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(optimizer))]


def test_a_packed_step_gives_the_same_bits():
    # With the compiler that users have: the plainer code generator, which makes the
    # tests quick, rounds a sum otherwise where it is joined.
    code = "from tests.compiled import test_packing; test_packing.compare_bits()"
    environment = {**os.environ, "XLA_FLAGS": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)


def test_one_trace_and_one_pack_serve_all_calls():
    optimizer, jitted = trained(2)
    buffers = pack_of(jitted).buffers
    jitted(optimizer, X)
    assert pack_of(jitted).buffers is not buffers
    assert jitted._cache_size() == 1
    assert sum(b.size for b in buffers) == 2 * LAYERS * 12


def value_of(optimizer):
    return optimizer.opt_state[0].mu.layers[0].kernel


READS = {
    "value": lambda o: value_of(o).value,
    "item": lambda o: value_of(o)[...],
    "raw": lambda o: value_of(o).get_raw_value(),
    "numpy": lambda o: np.asarray(value_of(o)),
    "state": lambda o: jax.tree.leaves(nnx.state(o, nnx.OptState))[1],
    "repr": lambda o: repr(value_of(o)) and value_of(o).value,
    "clone": lambda o: value_of(nnx.clone(o)).value,
    "deepcopy": lambda o: value_of(copy.deepcopy(o)).value,
    "pickle": lambda o: value_of(pickle.loads(pickle.dumps(o))).value,
    "another-function": lambda o: nnx.jit(lambda o: value_of(o).value + 0)(o),
    "jax-tree": lambda o: jax.tree.leaves(value_of(o))[0],
    "shape": lambda o: (value_of(o).shape, value_of(o).value)[1],
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_whoever_reads_sees_the_value(read):
    (optimizer, jitted), other = trained(), expected()
    assert pack_of(jitted).whole
    assert_close([read(optimizer)], [read(other)])
    jitted(optimizer, X), nnx.jit(step, donate=False)(other, X)
    assert pack_of(jitted).whole
    assert_same(optimizer, other)


def in_another_function(optimizer):
    def double(optimizer):
        value_of(optimizer).value *= 2

    nnx.jit(double)(optimizer)


def by_update(optimizer):
    state = jax.tree.map(lambda x: x * 2, nnx.state(optimizer, nnx.OptState))
    nnx.update(optimizer, state)


WRITES = {
    "value": lambda o: setattr(value_of(o), "value", jnp.ones((3, 3))),
    "raw": lambda o: value_of(o).set_raw_value(jnp.ones((3, 3))),
    "item": lambda o: value_of(o).__setitem__(0, 1.0),
    "copy_from": lambda o: value_of(o).copy_from(value_of(made())),
    "update": by_update,
    "another-function": in_another_function,
    "eager-step": lambda o: step(o, X),
    "another-step": lambda o: nnx.jit(lambda o: step(o, 2 * X))(o),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_whoever_writes_is_heard(write):
    (optimizer, jitted), other = trained(), expected()
    plain = nnx.jit(step, donate=False)
    for _ in range(2):
        write(optimizer), write(other)
        assert_same(optimizer, other)
        jitted(optimizer, X), plain(other, X)
        assert_same(optimizer, other)


def test_an_array_that_is_held_lives_on():
    optimizer, jitted = trained()
    held = value_of(optimizer).value
    before = np.asarray(held).copy()
    assert value_of(optimizer).value is held
    jitted(optimizer, X)
    np.testing.assert_array_equal(held, before)


def test_reads_at_each_step_end_the_pack():
    (optimizer, jitted), other = trained(1), expected(1)
    plain = nnx.jit(step, donate=False)
    for _ in range(8):
        slots(optimizer)
        jitted(optimizer, X), plain(other, X)
    assert pack_of(jitted) is None
    assert_same(optimizer, other)


def test_a_step_that_fails_leaves_the_slots():
    def failing(optimizer, x, fail):
        loss = step(optimizer, x)
        if x.shape[0] > 2:
            raise ValueError("too many")
        return loss

    optimizer, jitted = made(), nnx.jit(failing)
    jitted(optimizer, X, 0)
    with pytest.raises(ValueError, match="too many"):
        jitted(optimizer, jnp.ones((3, 3)), 0)
    assert_same(optimizer, expected(1))


def test_other_shapes_take_the_same_pack():
    (optimizer, jitted), other = trained(2), expected(2)
    plain = nnx.jit(step, donate=False)
    for n in (3, 2, 4, 3):
        jitted(optimizer, jnp.ones((n, 3))), plain(other, jnp.ones((n, 3)))
    assert pack_of(jitted).whole
    assert jitted._cache_size() == 3
    assert_same(optimizer, other)


def test_slots_of_another_dtype_leave_the_pack():
    optimizer, jitted = trained()
    value_of(optimizer).value = jnp.ones((3, 3), jnp.bfloat16)
    jitted(optimizer, X)
    assert value_of(optimizer).value.dtype == jnp.float32 or jitted._cache_size() == 2


def test_a_step_that_changes_structure_does_without():
    def growing(optimizer, x):
        optimizer.model.sow(nnx.Intermediate, "x", x)
        return step(optimizer, x)

    optimizer, jitted = made(), nnx.jit(growing)
    for _ in range(3):
        jitted(optimizer, X)
        nnx.pop(optimizer.model, nnx.Intermediate)
    assert_same(optimizer, expected())


def test_large_arrays_and_few_stay_apart():
    small = nnx.Optimizer(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), optax.adam(0.1))
    jitted = nnx.jit(
        lambda o: o.update(jax.tree.map(jnp.ones_like, nnx.state(o.model)))
    )
    jitted(small)
    assert pack_of(jitted) is None


def test_models_and_slots_that_are_dropped_are_freed():
    optimizer, jitted = trained()
    buffers = [weakref.ref(b) for b in pack_of(jitted).buffers]
    gone = weakref.ref(optimizer)
    del optimizer
    assert gone() is None
    gc.collect()
    assert [b() for b in buffers] == [None]


def test_slots_outlive_the_function():
    optimizer, jitted = trained()
    other = expected()
    del jitted
    gc.collect()
    assert_same(optimizer, other)


@pytest.mark.parametrize("n", [40])
def test_a_thread_that_reads_sees_whole_steps(n):
    optimizer, jitted = trained(1)
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            mu = optimizer.opt_state[0].mu
            seen.append(np.asarray(mu.layers[0].bias.value))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(n):
            jitted(optimizer, X)
    finally:
        stop.set()
        reader.join()
    right, plain, steps = made(), nnx.jit(step, donate=False), []
    for _ in range(n + 1):
        plain(right, X)
        steps.append(np.asarray(right.opt_state[0].mu.layers[0].bias.value))
    assert seen
    for array in seen:
        assert min(np.abs(array - other).max() for other in steps) < 1e-6


ACTIONS = {
    **{f"read-{name}": read for name, read in READS.items()},
    **{f"write-{name}": write for name, write in WRITES.items()},
}


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_steps_reads_and_writes(seed, monkeypatch):
    monkeypatch.setattr(_packing, "_FREE", 1000)
    draw = random.Random(seed)
    optimizer, other = made(), made()
    jitted, plain = nnx.jit(step), nnx.jit(step, donate=False)
    for _ in range(12):
        for _ in range(draw.randint(1, 3)):
            x = jnp.full((draw.choice([2, 2, 3]), 3), draw.random())
            jitted(optimizer, x), plain(other, x)
        action = ACTIONS[draw.choice(sorted(ACTIONS))]
        action(optimizer), action(other)
    assert pack_of(jitted) is not None
    assert_same(optimizer, other)
