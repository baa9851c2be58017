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


def at_the_top(path: str) -> tuple[str, str, Check]:
    """The row of a submodule: one of its names is the one at the top."""
    place, _, name = path.rpartition(".")
    return f"{place}.*", "the names at the top", one_object(path, name)


PLACES = [
    "graph.split",
    "graphlib.merge",
    "filterlib.Not",
    "statelib.State",
    "rnglib.Rngs",
    "variablelib.Param",
    "module.Module",
    "pytreelib.Pytree",
    "helpers.Dict",
    "nn.linear.Linear",
    "nn.recurrent.RNN",
    "transforms.autodiff.grad",
]
SPELLINGS: list[tuple[str, str, Check]] = [
    ("Variable.value", "get_value(), set_value(), [...]", value_of_a_variable),
    ("Variable.var_type", "Variable.type", type_of_a_variable),
    ("Param(sharding=)", "out_sharding=", one_metadata_entry("sharding")),
    ("Param(sharding_names=)", "out_sharding=", one_metadata_entry("sharding_names")),
    ("variables", "state", same_paths("variables", "state")),
    *map(at_the_top, PLACES),
    (
        "training.metrics.*",
        "metrics.*",
        one_object("training.metrics.Average", "metrics.Average"),
    ),
    ("swish", "silu", one_function("swish", "silu")),
    ("hard_swish", "hard_silu", one_function("hard_swish", "hard_silu")),
    *(
        (
            f"initializers.{name}_{kind}",
            f"initializers.{other}_{kind}",
            one_initializer(f"{name}_{kind}", f"{other}_{kind}"),
        )
        for name, other in (("xavier", "glorot"), ("kaiming", "he"))
        for kind in ("normal", "uniform")
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
