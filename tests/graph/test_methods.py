"""A method of its own as an attribute follows the copy."""

import copy

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx

X = jnp.ones(3)


class Scale(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(X)

    def scale(self, x):
        return x * self.w.value


class Own(Scale):
    def __init__(self):
        super().__init__()
        self.act = self.scale


class OfAChild(nnx.Module):
    def __init__(self):
        self.child = Scale()
        self.act = self.child.scale
        self.w = self.child.w


class InAList(Scale):
    def __init__(self):
        super().__init__()
        self.acts = [self.scale]

    def act(self, x):
        return self.acts[0](x)


COPIES = {
    "deepcopy": copy.deepcopy,
    "clone": nnx.clone,
    "merge": lambda m: nnx.merge(*nnx.split(m)),
    "tree.map": lambda m: jax.tree.map(lambda a: a, m),
}


@pytest.mark.parametrize("cls", [Own, OfAChild, InAList])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_it_is_the_method_of_the_copy(cls, copied):
    other = copied(cls())
    other.w.value = X * 9
    assert float(other.act(X)[0]) == 9.0


@pytest.mark.parametrize("cls", [Own, OfAChild, InAList])
@pytest.mark.parametrize("grad", [nnx.grad, jax.grad])
def test_its_gradient_is_that_of_the_argument(cls, grad):
    grads = grad(lambda m: m.act(X).sum())(cls())
    assert float(jax.tree.leaves(grads)[0][0]) == 1.0


def test_vmap_over_a_stack_of_models_calls_each():
    stack = jax.tree.map(lambda a: jnp.stack([a, a * 2]), Own())
    out = nnx.vmap(lambda m, x: m.act(x))(stack, jnp.ones((2, 3)))
    assert out[:, 0].tolist() == [1.0, 2.0]


def test_a_compiled_step_keeps_it():
    model = Own()

    @nnx.jit
    def step(m):
        m.calls = 1
        return m.act(X)

    step(model), step(model)
    assert model.act.__self__ is model
