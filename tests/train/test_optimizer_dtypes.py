"""A step leaves the dtypes of parameters and slots, and Variables, as they were."""

import jax
import jax.numpy as jnp
import optax
import pytest

import oakum as nnx

F32, BF16 = map(jnp.dtype, ("float32", "bfloat16"))
SCHEDULE = optax.cosine_decay_schedule(0.1, 20)
TRANSFORMATIONS = {
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "adamw": lambda: optax.adamw(SCHEDULE),
    "adam-wide": lambda: optax.adam(0.1, mu_dtype=F32),
    "adan": lambda: optax.adan(0.1),  # keeps the last gradient
    "inject": lambda: optax.inject_hyperparams(optax.adamw)(learning_rate=0.1),
    "multi-steps": lambda: optax.MultiSteps(optax.adam(0.1), 2),
    "groups": lambda: {nnx.PathContains("bias"): optax.sgd(0.1), ...: optax.adam(0.1)},
}
CASES = [
    *(pytest.param(make, BF16, F32, id=id) for id, make in TRANSFORMATIONS.items()),
    pytest.param(TRANSFORMATIONS["adan"], F32, BF16, id="half-gradients"),
]


def boxes(*nodes):
    return [leaf for node in nodes for _, leaf in nnx.to_flat_state(nnx.state(node))]


@pytest.mark.parametrize(("make", "params", "gradients"), CASES)
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


class Scaled(nnx.Module):
    """Parameters of which JAX takes the dtype for that of a Python number."""

    def __init__(self):
        self.linear = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        self.scale = nnx.Param(jnp.full((1, 2), 0.5))
        self.temperature = nnx.Param(jnp.array(0.5))

    def __call__(self, x):
        return self.linear(x) * self.scale / self.temperature


def types(*nodes):
    return [jax.typeof(box.value) for box in boxes(*nodes)]


@pytest.mark.parametrize("make", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)
def test_steps_of_weakly_typed_parameters_are_one_trace(make):
    model, traced = Scaled(), []
    optimizer = nnx.Optimizer(model, make(), wrt=nnx.Param)
    before = types(optimizer, model)
    assert sum(kind.weak_type for kind in types(model)) == 2

    @nnx.jit
    def step(model, optimizer, x):
        traced.append(1)
        grads = nnx.grad(lambda model: jnp.square(model(x) - 1.0).mean())(model)
        optimizer.update(model, grads)

    start = model.scale[...]
    for _ in range(4):
        step(model, optimizer, jnp.ones((3, 2)))
    assert len(traced) == 1, step.explain()
    assert types(optimizer, model) == before
    assert not jnp.allclose(model.scale[...], start)


def test_an_eager_step_keeps_weak_types_and_takes_them_for_the_same_numbers():
    weak, strong = Scaled(), Scaled()
    for box in boxes(strong):
        box.value = box.value.astype(F32)
    for model in (weak, strong):
        before, optimizer = types(model), nnx.Optimizer(model, optax.adam(0.1))
        loss = lambda model: jnp.square(model(jnp.ones((3, 2))) - 1.0).mean()  # noqa: E731
        for _ in range(2):
            optimizer.update(nnx.grad(loss)(model))
        assert types(model) == before
    for a, b in zip(boxes(weak), boxes(strong), strict=True):
        assert jnp.array_equal(a.value, b.value)


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
