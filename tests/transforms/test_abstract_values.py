"""A Variable without a value is named by each transform, with the remedy."""

import jax.numpy as jnp
import optax
import pytest

import oakum as nnx
from oakum.errors import ArgumentError

X = jnp.ones((3, 2))
OVER = {"in_axes": (nnx.Carry, None, 0), "out_axes": (nnx.Carry, 0)}
CALLS = {
    "call": lambda m: m(X),
    "jit": lambda m: nnx.jit(lambda m: m(X))(m),
    "grad": lambda m: nnx.grad(lambda m: m(X).sum())(m),
    "value_and_grad": lambda m: nnx.value_and_grad(lambda m: m(X).sum())(m),
    "remat": lambda m: nnx.remat(lambda m: m(X))(m),
    "vmap": lambda m: nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(m, X),
    "scan": lambda m: nnx.scan(lambda c, m, x: (c, m(x)), **OVER)(X[0], m, X),
    "cond": lambda m: nnx.cond(True, lambda m: m(X), lambda m: m(X), m),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_named(name):
    model = nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    message = r"Param `\S*(kernel|bias)` has no value yet(?s:.*)nnx\.update"
    with pytest.raises(ArgumentError, match=message):
        CALLS[name](model)


def test_shapes_of_a_gradient_need_no_value():
    model = nnx.eval_shape(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    optimizer = nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)
    grads = nnx.eval_shape(nnx.grad(lambda m: m(X).sum()), model)
    assert grads["kernel"].shape == (2, 2)
    assert optimizer.step.shape == ()
