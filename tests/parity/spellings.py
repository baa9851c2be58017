"""Two names for one thing, in flax.nnx and here: the table, each row with its check."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Check = Callable[[Any], bool]


def one_object(first: str, second: str) -> Check:
    """Whether two dotted names are one object."""
    read = operator.attrgetter(first), operator.attrgetter(second)
    return lambda nnx: read[0](nnx) is read[1](nnx)


def one_function(first: str, second: str) -> Check:
    """Whether two functions of an array give the same."""
    read = operator.attrgetter(first), operator.attrgetter(second)
    x = jnp.linspace(-4.0, 4.0, 9)
    return lambda nnx: bool((read[0](nnx)(x) == read[1](nnx)(x)).all())


def one_initializer(first: str, second: str) -> Check:
    """Whether two initializers draw the same."""

    def check(nnx: Any) -> bool:
        makes = (getattr(nnx.initializers, name) for name in (first, second))
        one, other = (make()(jax.random.key(0), (3, 4)) for make in makes)
        return bool((one == other).all())

    return check


def one_metadata_entry(name: str) -> Check:
    """Whether names of axes given as `name` are read by all three names."""

    def check(nnx: Any) -> bool:
        kinds = (jax.sharding.AxisType.Auto,)
        with jax.set_mesh(jax.make_mesh((2,), ("x",), axis_types=kinds)):
            v = nnx.Param(jnp.ones((2, 4)), **{name: (None, "x")})
        named = v.get_metadata("out_sharding"), v.sharding_names
        return all(tuple(each) == (None, "x") for each in named)

    return check


def value_of_a_variable(nnx: Any) -> bool:
    v = nnx.Param(jnp.ones(2))
    return v.value is v.get_value() and bool((v[...] == v.value).all())


def type_of_a_variable(nnx: Any) -> bool:
    return nnx.Param(1.0).type is nnx.Param(1.0).var_type is nnx.Param


def same_paths(first: str, second: str) -> Check:
    def check(nnx: Any) -> bool:
        layer = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
        one, other = getattr(nnx, first)(layer), getattr(nnx, second)(layer)
        return nnx.to_flat_state(one).paths == nnx.to_flat_state(other).paths

    return check


SPELLINGS: list[tuple[str, str, Check]] = [
    ("Variable.value", "get_value(), set_value(), [...]", value_of_a_variable),
    ("Variable.var_type", "Variable.type", type_of_a_variable),
    ("Param(sharding=)", "out_sharding=", one_metadata_entry("sharding")),
    ("Param(sharding_names=)", "out_sharding=", one_metadata_entry("sharding_names")),
    ("variables", "state", same_paths("variables", "state")),
    ("graph.*", "the names at the top", one_object("graph.split", "split")),
    ("graphlib.*", "the names at the top", one_object("graphlib.merge", "merge")),
    ("filterlib.*", "the names at the top", one_object("filterlib.Not", "Not")),
    ("statelib.*", "the names at the top", one_object("statelib.State", "State")),
    ("rnglib.*", "the names at the top", one_object("rnglib.Rngs", "Rngs")),
    ("variablelib.*", "the names at the top", one_object("variablelib.Param", "Param")),
    ("module.*", "the names at the top", one_object("module.Module", "Module")),
    ("pytreelib.*", "the names at the top", one_object("pytreelib.Pytree", "Pytree")),
    ("helpers.*", "the names at the top", one_object("helpers.Dict", "Dict")),
    ("nn.linear.*", "the names at the top", one_object("nn.linear.Linear", "Linear")),
    ("nn.recurrent.*", "the names at the top", one_object("nn.recurrent.RNN", "RNN")),
    (
        "transforms.autodiff.*",
        "the names at the top",
        one_object("transforms.autodiff.grad", "grad"),
    ),
    (
        "training.metrics.*",
        "metrics.*",
        one_object("training.metrics.Average", "metrics.Average"),
    ),
    ("swish", "silu", one_function("swish", "silu")),
    ("hard_swish", "hard_silu", one_function("hard_swish", "hard_silu")),
    (
        "initializers.xavier_normal",
        "initializers.glorot_normal",
        one_initializer("xavier_normal", "glorot_normal"),
    ),
    (
        "initializers.xavier_uniform",
        "initializers.glorot_uniform",
        one_initializer("xavier_uniform", "glorot_uniform"),
    ),
    (
        "initializers.kaiming_normal",
        "initializers.he_normal",
        one_initializer("kaiming_normal", "he_normal"),
    ),
    (
        "initializers.kaiming_uniform",
        "initializers.he_uniform",
        one_initializer("kaiming_uniform", "he_uniform"),
    ),
]


def holds(check: Check, nnx: Any) -> bool:
    """Whether the check passes: a name that is not there does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # flax warns of the older of two names
        try:
            return check(nnx)
        except (AttributeError, KeyError):
            return False
