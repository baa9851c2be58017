"""A call that only reads returns what JAX returns, with nothing to do after it."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx

Pair = namedtuple("Pair", "first second")


class Scale(nnx.Module):
    def __init__(self, value=2.0):
        self.w = nnx.Param(jnp.array(value))
        self.switch = False

    def __call__(self, x):
        return x * self.w[...] + (100.0 if self.switch else 0.0)


RESULTS = {
    "array": lambda y: y,
    "tuple": lambda y: (y, y + 1),
    "list": lambda y: [y, (y,)],
    "namedtuple": lambda y: Pair(y, [y]),
    "dict": lambda y: {"b": y, "a": y + 1},
    "empty": lambda y: (),
    "none": lambda y: (y, None),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_returned_has_the_type_that_it_had(name):
    forward = nnx.jit(lambda m, x: RESULTS[name](m(x)))
    wanted, model = RESULTS[name](jnp.array(4.0)), Scale()
    for x in (2.0, 2.0, 2.0, jnp.array(2.0)):
        found = forward(model, x)
        assert type(found) is type(wanted)
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        assert found == wanted
        assert name != "dict" or list(found) == list(wanted)


def test_a_list_that_is_returned_is_made_anew():
    forward, model = nnx.jit(lambda m, x: [m(x)]), Scale()
    forward(model, 1.0).append("more")
    assert len(forward(model, 1.0)) == 1


def test_a_new_shape_may_write_where_another_read():
    @nnx.jit
    def forward(model, x):
        if x.ndim:
            model.w.set_value(model.w + 1)
        return model.w * x.sum()

    models = [Scale(), Scale()]
    for model in models * 3:
        assert forward(model, jnp.array(1.0)) == 2.0
    for model in models * 2:
        forward(model, jnp.ones(2))
    assert [float(m.w.get_value()) for m in models] == [4.0, 4.0]
    assert [float(forward(m, x=jnp.array(1.0))) for m in models] == [4.0, 4.0]


@pytest.mark.parametrize("named", [False, True])
def test_the_next_call_sees_an_edit(named):
    model, forward = Scale(), nnx.jit(lambda m, x: m(x))
    call = (lambda x: forward(model, x=x)) if named else (lambda x: forward(model, x))
    assert call(1.0) == call(1.0) == 2.0
    model.switch = True
    assert call(1.0) == 102.0
    model.w = nnx.Param(jnp.array(3.0))
    assert call(1.0) == 103.0


def test_a_call_in_a_trace_reads_what_is_traced():
    model, forward = Scale(), nnx.jit(lambda m, x: m(x))
    assert forward(model, 5.0) == forward(model, 5.0) == 10.0
    assert nnx.grad(lambda m: forward(m, 5.0))(model).w.get_value() == 5.0
    assert jax.vmap(lambda x: forward(model, x))(jnp.arange(3.0)).tolist() == [0, 2, 4]


def test_objects_may_stand_where_an_array_stood():
    model, forward = Scale(), nnx.jit(lambda m, x: m(x))
    assert forward(model, jnp.array(5.0)) == forward(model, jnp.array(5.0)) == 10.0
    assert forward(model, nnx.Param(jnp.array(3.0))) == 6.0
    assert forward(model, x=nnx.Param(jnp.array(3.0))) == 6.0
    with pytest.raises(TypeError, match="str"):
        forward(model, "text")


def test_what_it_would_return_is_told_without_a_run():
    forward = nnx.jit(lambda m, x: (m(x), [x]))
    found = forward.eval_shape(Scale(), jnp.ones(3))
    assert found[0].shape == found[1][0].shape == (3,)
