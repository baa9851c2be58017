"""Objects that go from one structure to another and back: plans are looked at again."""

import gc
import weakref

import jax.numpy as jnp
import numpy as np
import pytest

import oakum as nnx
from tests.models import counted_forward


class Net(nnx.Module):
    def __init__(self):
        self.hidden = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(1))
        self.scale = 2.0

    def __call__(self, x):
        return self.dropout(self.hidden(x)) * self.scale


X = jnp.ones((2, 3))


def test_modes_in_turn_trace_once_each_and_act():
    forward, traces = counted_forward()
    model = Net()
    for _ in range(4):
        model.train()
        assert (np.asarray(forward(model, X)) == 0).any()
        model.eval()
        np.testing.assert_allclose(forward(model, X), model(X), rtol=1e-6)
    assert traces == [2]


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: setattr(m, "scale", 3.0),
        lambda m: setattr(m, "hidden", nnx.Linear(3, 3, rngs=nnx.Rngs(7))),
        lambda m: setattr(m.hidden, "kernel", nnx.Param(jnp.zeros((3, 3)))),
        lambda m: setattr(m.hidden, "bias", None),
        lambda m: m.hidden.kernel.set_metadata(tag="a"),
    ],
    ids=["number", "module", "Variable", "none", "metadata"],
)
def test_another_edit_between_the_modes_is_seen(edit):
    forward, _ = counted_forward()
    model = Net()
    model.eval()
    before = forward(model, X)
    model.train()
    forward(model, X)
    edit(model)
    model.eval()
    np.testing.assert_allclose(forward(model, X), model(X), rtol=1e-6)
    assert before.shape == (2, 3)


def test_a_plan_of_a_former_structure_keeps_no_variable_alive():
    forward, _ = counted_forward()
    model = Net()
    forward(model, X)
    gone = weakref.ref(model.hidden.kernel)
    model.hidden = nnx.Linear(3, 3, rngs=nnx.Rngs(7))
    forward(model, X)
    gc.collect()
    assert gone() is None


def test_variables_that_come_back_are_written_again():
    @nnx.jit
    def count(model):
        model.hidden.kernel[...] += 1

    model = Net()
    first, second = model.hidden, nnx.Linear(3, 3, rngs=nnx.Rngs(7))
    before = jnp.array(first.kernel[...])
    for layer in (first, second, first, second, first):
        model.hidden = layer
        count(model)
    np.testing.assert_allclose(first.kernel[...], before + 3, rtol=1e-6)


def test_what_a_step_sows_and_the_program_pops_traces_once():
    class Sower(nnx.Module):
        def __init__(self):
            self.inner = nnx.Linear(3, 3, rngs=nnx.Rngs(0))

        def __call__(self, x):
            self.sow(nnx.Intermediate, "seen", x * 2)
            return self.inner(x)

    forward, traces = counted_forward()
    model = Sower()
    for i in range(5):
        forward(model, X * i)
        found = nnx.pop(model, nnx.Intermediate)
        np.testing.assert_array_equal(found.seen[...][0], X * i * 2)
    assert traces == [1]
    assert not hasattr(model, "seen")


def test_a_replay_fills_what_was_edited_and_leaves_the_rest():
    @nnx.jit
    def grow(model):
        model.hidden.extra = nnx.Param(model.hidden.bias + 1)
        model.twin = model.hidden.extra
        model.dropout.rate = 0.25

    first, second = Net(), Net()
    for model in (first, second):
        kernel, dropout = model.hidden.kernel, model.dropout
        grow(model)
        assert model.hidden.kernel is kernel
        assert model.dropout is dropout
        assert model.twin is model.hidden.extra
        assert dropout.rate == 0.25
        np.testing.assert_array_equal(model.twin[...], model.hidden.bias[...] + 1)


def test_a_tuple_of_arrays_that_is_replaced_is_read_anew():
    class Holder(nnx.Module):
        def __init__(self):
            self.pair = (jnp.ones(()), jnp.ones(()))

    read = nnx.jit(lambda m: m.pair[0])
    model = Holder()
    assert read(model) == 1
    model.pair = (jnp.full((), 5.0), jnp.ones(()))
    assert read(model) == 5


def test_a_call_that_fails_in_another_mode_leaves_the_first_as_it_was():
    @nnx.jit
    def forward(model, x):
        if not model.dropout.deterministic:
            raise ValueError("evaluation alone")
        return model(x)

    model = Net()
    for _ in range(2):
        model.eval()
        forward(model, X)
        np.testing.assert_allclose(forward(model, X), model(X), rtol=1e-6)
        model.train()
        with pytest.raises(ValueError, match="evaluation alone"):
            forward(model, X)
    model.eval()
    np.testing.assert_allclose(forward(model, X), model(X), rtol=1e-6)


def test_plans_of_both_modes_hold_no_part_that_was_taken_out_meanwhile():
    forward, _ = counted_forward()
    model = Net()
    for _ in range(2):
        model.train(), forward(model, X)
        model.eval(), forward(model, X)
    gone = weakref.ref(model.hidden)
    model.hidden = nnx.Linear(3, 3, rngs=nnx.Rngs(7))
    forward(model, X)
    gc.collect()
    assert gone() is None
    for mode in (model.train, model.eval):
        mode()
        assert forward(model, X).shape == (2, 3)
    np.testing.assert_allclose(forward(model, X), model(X), rtol=1e-6)
