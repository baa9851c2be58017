"""Runs one small program under flax.nnx and under oakum, and compares what comes out.

A *case* is a function of the module `nnx`. `plain` turns its result into dicts, lists
and strings that know neither library, so that `==` compares them; an error compares by
the built-in class that users catch.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oakum
from tests.nn.peer import lenient

flax_nnx: Any = pytest.importorskip("flax.nnx")

HIDDEN = {"hijax", "ref", "eager_sharding"}  # metadata that every Variable of flax has
HOOKS = {
    f"on_{w}"
    for w in ["get_value", "set_value", "create_value", "add_axis", "remove_axis"]
}
CAUGHT = (
    KeyError,
    AttributeError,
    IndexError,
    NotImplementedError,
    TypeError,
    ValueError,
)


def outcome(nnx: Any, case: Callable[[Any], Any]) -> Any:
    """What a case returns, or the classes of the error that it raises."""
    try:
        if nnx is oakum:
            return plain(nnx, case(nnx))
        with lenient(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # flax announces what it will deprecate
            return plain(nnx, case(nnx))
    except CAUGHT as error:
        return frozenset(kind for kind in CAUGHT if isinstance(error, kind))


def assert_same(case: Callable[[Any], Any]) -> None:
    """Both libraries give the same result, or errors of the same class."""
    got, expected = outcome(oakum, case), outcome(flax_nnx, case)
    if isinstance(got, frozenset) and isinstance(expected, frozenset):
        assert expected <= got, f"\noakum: {got}\nflax:  {expected}"
    else:
        assert got == expected, f"\noakum: {got}\nflax:  {expected}"


def plain(nnx: Any, value: Any) -> Any:
    """A value without any class of either library."""
    if isinstance(value, nnx.Variable):
        meta = {
            k: plain(nnx, v)
            for k, v in value.get_metadata().items()
            if k not in HIDDEN and k not in HOOKS
        }
        return type(value).__name__, plain(nnx, value.get_raw_value()), meta
    if isinstance(value, nnx.FlatState):
        return [(path, plain(nnx, leaf)) for path, leaf in value]
    if isinstance(value, list | nnx.List | Iterator):
        return [plain(nnx, item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(nnx, item) for item in value)
    if isinstance(value, Mapping):
        return {key: plain(nnx, item) for key, item in value.items()}
    if isinstance(value, nnx.Pytree):
        content = {
            k: v for k, v in vars(value).items() if not k.startswith("_pytree__")
        }
        return type(value).__name__, plain(nnx, content)
    if isinstance(value, nnx.GraphDef):
        return "GraphDef"
    if isinstance(value, type):
        return value.__name__
    return _array(value)


def _array(value: Any) -> Any:
    if isinstance(value, jax.Array) and jnp.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        value = jax.random.key_data(value)
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return str(value.dtype), value.shape, np.asarray(value).tolist()
    return value


def kinds(nnx: Any, pairs: Any) -> list[tuple[Any, str]]:
    """Path and type name of each pair; bookkeeping of flax left out."""
    return [
        (path, type(value).__name__)
        for path, value in pairs
        if not any(str(part).startswith(("_pytree__", "_length")) for part in path)
    ]


def arange(*shape: int) -> jax.Array:
    """0, 1, 2, ... of a shape, as float32."""
    return jnp.arange(np.prod(shape, dtype=int), dtype=jnp.float32).reshape(shape)


@functools.cache
def block_class(nnx: Any) -> Any:
    """A module with two types of Variables and two static attributes."""

    class Block(nnx.Module):
        def __init__(self, scale: float):
            self.kernel = nnx.Param(scale * arange(2, 3), note="k")
            self.mean = nnx.BatchStat(jnp.full(3, scale))
            self.deterministic = False
            self.features = 3

    return Block


def make_block(nnx: Any, scale: float = 1.0) -> Any:
    """A module with two types of Variables and two static attributes."""
    return block_class(nnx)(scale)


def make_net(nnx: Any) -> Any:
    """A model with everything that a graph can hold."""

    class Net(nnx.Module):
        def __init__(self):
            self.layers = nnx.List([make_block(nnx), make_block(nnx, 2.0)])
            self.heads = nnx.Dict(b=make_block(nnx, 3.0), a=make_block(nnx, 4.0))
            self.bias = nnx.Param(arange(3))
            self.tied = self.layers[0].kernel
            self.table = arange(4)
            self.lookup = np.arange(3, dtype=np.int32)
            self.pair = nnx.data((jnp.ones(2), nnx.Cache(jnp.zeros(1))))
            self.nothing = None
            self.empty = nnx.List([])
            self.name = "net"
            self.deterministic = False

    return Net()


def make_cycle(nnx: Any) -> Any:
    """Two modules that refer to each other."""
    a, b = make_block(nnx), make_block(nnx, 5.0)
    a.peer, b.peer = b, a
    return a
