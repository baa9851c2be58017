"""A step leaves the dtypes of parameters and slots, and Variables, as they were."""

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx

F32, BF16 = map(jnp.dtype, ("float32", "bfloat16"))
SCHEDULE = optax.cosine_decay_schedule(0.1, 20)
# adan keeps the last gradient; adafactor, rows and columns of their squares.
TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "adam": lambda: optax.adam(0.1),
    "adamw": lambda: optax.adamw(SCHEDULE),
    "adam-wide": lambda: optax.adam(0.1, mu_dtype=F32),
    "adan": lambda: optax.adan(0.1),
    "lion": lambda: optax.lion(0.1),
    "lamb": lambda: optax.lamb(0.1),
    "rmsprop": lambda: optax.rmsprop(0.1, momentum=0.9),
    "clip": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
    "inject": lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=0.1),
    "multi-steps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "groups": lambda: {nnx.PathContains("bias"): optax.sgd(0.1), ...: optax.adam(0.1)},
}
DTYPES = {
    "wide-gradients": (BF16, F32),
    "half": (BF16, BF16),
    "half-gradients": (F32, BF16),
}


def boxes(*nodes):
    return [leaf for node in nodes for _, leaf in nnx.to_flat_state(nnx.state(node))]


@pytest.mark.parametrize("make", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
@pytest.mark.parametrize(("params", "gradients"), DTYPES.values(), ids=DTYPES)
def test_a_step_keeps_every_variable_and_its_dtype(make, params, gradients):
    model = nnx.Linear(2, 2, param_dtype=params, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    before = boxes(model, optimizer)
    dtypes = [box.dtype for box in before]
    grads = jax.tree.map(lambda x: jnp.ones_like(x, gradients), nnx.state(model))
    for _ in range(2):
        optimizer.update(model, grads)
    after = boxes(model, optimizer)
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert [box.dtype for box in after] == dtypes


def test_twelve_compiled_steps_with_a_policy_are_one_trace():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    nnx.set_dtypes(model, nnx.Policy(param=BF16, compute=BF16, accumulation=F32))
    optimizer = nnx.Optimizer(model, optax.adamw(0.1, mu_dtype=F32), wrt=nnx.Param)
    dtypes, traced = [box.dtype for box in boxes(model, optimizer)], []

    @nnx.jit
    def step(model, optimizer, x):
        traced.append(1)
        loss = lambda model: jnp.square(model(x).astype(F32) - 1).mean()  # noqa: E731
        optimizer.update(model, nnx.grad(loss)(model))
        return loss(model)

    losses = [step(model, optimizer, jnp.ones((3, 2), BF16)) for _ in range(12)]
    assert losses[-1] < losses[0]
    assert len(traced) == 1
    assert [box.dtype for box in boxes(model, optimizer)] == dtypes
    assert {F32, BF16} <= set(dtypes)
