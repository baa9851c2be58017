"""set_attributes, train and eval find every node, whatever was edited meanwhile."""

import gc
import weakref

import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum._state import _attributes


def dropout():
    return nnx.Dropout(0.5, rngs=nnx.Rngs(0))


class Net(nnx.Module):
    def __init__(self):
        self.first = dropout()
        self.inner = nnx.Sequential(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), dropout())
        self.listed, self.named, self.held = [dropout()], {"a": dropout()}, None
        self.fixed = (dropout(), 1)


EDITS = {
    "another": lambda net, new: setattr(net, "first", new),
    "added": lambda net, new: setattr(net, "more", new),
    "was None": lambda net, new: setattr(net, "held", new),
    "below": lambda net, new: net.inner.layers.append(new),
    "plain list": lambda net, new: net.listed.append(new),
    "in the place of another": lambda net, new: net.listed.__setitem__(0, new),
    "plain dict": lambda net, new: net.named.update(b=new),
    "a list in a list": lambda net, new: net.listed.append([new]),
    "tuple": lambda net, new: setattr(net, "fixed", (new,)),
    "vars": lambda net, new: vars(net).update(more=new),
    "an attribute of it": lambda net, new: setattr(net.first, "below", new),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_node_that_came_since_the_last_time_is_found(edit):
    net = Net()
    for _ in range(2):
        net.train(), net.eval()
    new = dropout()
    edit(net, new)
    net.eval()
    assert new.deterministic
    net.train()
    assert not new.deterministic


def test_a_node_that_went_is_left_as_it_is():
    net = Net()
    net.train()
    gone, net.first = net.first, None
    net.eval()
    assert not gone.deterministic
    assert net.inner.layers[1].deterministic


def test_an_attribute_that_a_layer_or_its_class_gets_later_is_found():
    class Late(nnx.Module):
        pass

    net = nnx.Dict(a=Late(), b=dropout())
    net.eval()
    net["a"].deterministic = False
    net.eval()
    assert net["a"].deterministic
    del net["a"].deterministic
    Late.deterministic = False
    net.eval()
    assert vars(net["a"]) == {"deterministic": True}


def test_paths_are_those_of_now():
    net = nnx.Dict(a=dropout())
    net.named = {"x": dropout()}
    net.set_attributes(nnx.PathContains("x"), deterministic=True)
    assert net.named["x"].deterministic
    net.named["y"] = net.named.pop("x")
    net.set_attributes(nnx.PathContains("y"), deterministic=False)
    assert not net.named["y"].deterministic


def test_what_is_remembered_of_a_graph_goes_with_it():
    net = Net()
    net.train()
    kept, gone = len(_attributes._surveys), weakref.ref(net.inner)
    del net
    gc.collect()
    assert gone() is None
    assert len(_attributes._surveys) < kept


def test_an_inner_node_stays_no_longer_than_its_graph_holds_it():
    net = Net()
    net.train()
    gone = weakref.ref(net.first)
    net.first = None
    gc.collect()
    assert gone() is None


def test_in_a_trace_the_nodes_of_the_trace_are_set():
    net = nnx.Sequential(dropout())
    net.train()

    @nnx.jit
    def forward(net, x):
        net.eval()
        return net(x)

    assert (forward(net, jnp.ones(8)) == 1).all()
    assert net.layers[0].deterministic
