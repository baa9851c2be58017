"""What a node remembers of itself is seen to be out of date when it is."""

import functools
import pickle

import jax.numpy as jnp
import pytest

import oakum as nnx


class Net(nnx.Module):
    """A layer with configuration of several kinds."""

    def __init__(self):
        self.factor = 2.0
        self.sizes = ((1, 2), (3,))
        self.activation = nnx.relu
        self.parts = [nnx.Param(jnp.ones(2)), "name"]

    @functools.cached_property
    def scale(self):
        return jnp.full(2, 3.0)

    def __call__(self, x):
        return self.activation(x) * self.factor


def set_factor(net):
    net.factor = 3.0


def negate_zero(net):
    net.factor = -0.0


def add_attribute(net):
    net.more = 1


def delete_attribute(net):
    del net.sizes


def add_past_setattr(net):
    vars(net)["more"] = 1


def cache_a_property(net):
    net.scale


def edit_the_list(net):
    net.parts[1] = "another"


def mark_as_data(net):
    net.factor = nnx.data(2.0)


CHANGES = [
    set_factor,
    add_attribute,
    delete_attribute,
    add_past_setattr,
    cache_a_property,
    edit_the_list,
    mark_as_data,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_change_after_a_walk_is_seen(change):
    net = Net()
    before = nnx.graphdef(net)
    change(net)
    assert nnx.graphdef(net) is not before
    assert sorted(vars(nnx.clone(net))) == sorted(vars(net))


def test_zeros_of_either_sign_are_told_apart_by_a_compiled_call():
    net, call = Net(), nnx.jit(lambda net, x: x / net.factor)
    net.factor = 0.0
    assert call(net, 1.0) == jnp.inf
    negate_zero(net)
    assert call(net, 1.0) == -jnp.inf


def test_equal_nodes_have_one_form_in_a_copy_from_another_process_too():
    first, second = Net(), pickle.loads(pickle.dumps(Net()))
    graphs = nnx.graphdef(first), nnx.graphdef(second)
    assert graphs[0] is graphs[1]
    assert first._oakum_form is second._oakum_form
    assert pickle.loads(pickle.dumps(graphs[0])) is graphs[0]


def test_a_change_inside_a_trace_is_seen_there():
    @nnx.jit
    def step(net, x):
        inner = nnx.jit(lambda net, x: net(x))
        first = inner(net, x)
        net.factor = 5.0
        return first, inner(net, x)

    assert [y.tolist() for y in step(Net(), jnp.ones(1))] == [[2.0], [5.0]]
