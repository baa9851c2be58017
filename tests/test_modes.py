"""flax.nnx's flags for a mode are taken everywhere, and change hardly anything."""

import jax.numpy as jnp
import pytest

import oakum as nnx

X = jnp.ones((3, 2))
FLAGS = [{"graph": True}, {"graph": False, "graph_updates": False}]
CALLS = {
    "split": lambda m, **f: nnx.split(m, **f)[1],
    "state": lambda m, **f: nnx.state(m, nnx.Param, **f),
    "clone": lambda m, **f: nnx.state(nnx.clone(m, **f)),
    "map": lambda m, **f: nnx.state(nnx.map(lambda path, v: v, m, **f)),
    "jit": lambda m, **f: nnx.jit(lambda m, x: m(x), **f)(m, X),
    "grad": lambda m, **f: nnx.state(nnx.grad(lambda m: m(X).sum(), **f)(m)),
    "vmap": lambda m, **f: nnx.vmap(lambda m, x: m(x), in_axes=(None, 0), **f)(m, X),
    "scan": lambda m, **f: nnx.scan(lambda c, x: (c + x, c), **f)(X[0], X)[1],
    "remat": lambda m, **f: nnx.remat(lambda m, x: m(x), **f)(m, X),
    "cond": lambda m, **f: nnx.cond(True, lambda m: m(X), lambda m: -m(X), m, **f),
    "fori_loop": lambda m, **f: nnx.fori_loop(0, 2, lambda i, x: m(x), X, **f),
    "eval_shape": lambda m, **f: nnx.eval_shape(lambda m: m(X), m, **f).shape,
    "vjp": lambda m, **f: nnx.vjp(lambda m: m(X), m, **f)[0],
    "call": lambda m, **f: nnx.graphdef(m).apply(nnx.state(m), **f)(X)[0],
}


def plain(value):
    """A result as nested dicts of numbers."""
    value = nnx.as_pure(value)
    if isinstance(value, nnx.State):
        return {key: plain(value[key]) for key in value}
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("flags", FLAGS, ids=["graph", "tree"])
@pytest.mark.parametrize("name", CALLS)
def test_a_flag_changes_nothing(name, flags, rngs):
    layer = nnx.Linear(2, 2, rngs=rngs)
    assert plain(CALLS[name](layer, **flags)) == plain(CALLS[name](layer))


def test_set_attributes_sets_no_flag(rngs):
    dropout = nnx.Dropout(0.5, rngs=rngs)
    dropout.set_attributes(deterministic=True, graph=True)
    assert dropout.deterministic
    assert not hasattr(dropout, "graph")


def test_a_context_of_a_mode_changes_nothing():
    with nnx.set_graph_mode(False), nnx.set_graph_updates(False):
        assert nnx.set_graph_mode.current_value()
        assert nnx.grad(lambda x: x**2)(3.0) == 6.0


def test_a_mode_decorates_a_function():
    double = nnx.set_graph_updates(False)(lambda x: 2 * x)
    assert double(3) == 6


def test_flags_of_variables_are_off():
    with nnx.var_defaults(hijax=True):
        assert nnx.var_defaults() == {"hijax": False, "ref": False}


def test_as_pure_leaves_values_alone(rngs):
    layer = nnx.Linear(2, 3, rngs=rngs)
    assert nnx.as_pure({"m": layer, "n": 1})["m"].bias is layer.bias.get_raw_value()
