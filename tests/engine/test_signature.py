"""Arguments given by keyword are those of the signature, in every transform."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import oakum as nnx
from oakum.errors import ArgumentError

ONES = jnp.ones(2)


def scaled(x, by=2.0, twice=False):
    return x * by * 2 if twice else x * by


def mesh() -> Mesh:
    return Mesh(jax.devices()[:2], ("data",))


MAPPED: dict[str, Any] = {
    "vmap": lambda f: nnx.vmap(f, in_axes=(0, None)),
    "pmap": lambda f: nnx.pmap(f, in_axes=(0, None)),
    "scan": lambda f: nnx.scan(
        lambda c, x, by: (c, f(x, by)), in_axes=(nnx.Carry, 0, None)
    ),
    "shard_map": lambda f: nnx.shard_map(
        f, mesh=mesh(), in_specs=(P("data"), P()), out_specs=P("data")
    ),
    "transform_metadata": lambda f: nnx.transform_metadata(
        f, in_axes=(0, None), partition=None
    ),
}


@pytest.mark.parametrize("name", MAPPED)
def test_keyword_has_the_axis_of_its_position(name):
    mapped = MAPPED[name](lambda x, by: x * by.sum())
    if name == "scan":
        mapped = functools.partial(lambda f, x, by: f(1.0, by=by, x=x)[1], mapped)
    assert mapped(by=ONES, x=ONES).tolist() == [2.0, 2.0]
    assert mapped(ONES, by=ONES).tolist() == [2.0, 2.0]


def test_default_fills_a_position_that_has_an_axis():
    assert nnx.vmap(scaled, in_axes=(0, None))(ONES).tolist() == [2.0, 2.0]


def test_scan_names_what_can_only_be_passed_by_keyword():
    loop = nnx.scan(lambda c, *, x: (c, x), in_axes=(nnx.Carry,))
    with pytest.raises(
        ArgumentError, match=r"x can only be passed by keyword(.|\n)*par"
    ):
        loop(1.0, x=ONES)


@pytest.mark.parametrize("number", [2, -1])
def test_static_argument_of_remat_by_keyword(number):
    block = nnx.remat(scaled, static_argnums=number)
    assert block(ONES, twice=True).tolist() == [4.0, 4.0]
    assert block(ONES, 2.0, True).tolist() == [4.0, 4.0]
    assert block(ONES).tolist() == [2.0, 2.0]


def test_static_argument_of_a_method_under_remat():
    class Block(nnx.Module):
        @functools.partial(nnx.remat, static_argnums=(2,))
        def __call__(self, x, mode="plain"):
            return x * 2 if mode == "double" else x

    assert Block()(ONES, mode="double").tolist() == [2.0, 2.0]


def test_constructor_is_mapped_with_a_keyword():
    class Layers(nnx.Module):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0, 0))
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 2, rngs=rngs)

        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def __call__(self, x):
            return self.linear(x)

    layers = Layers(rngs=nnx.Rngs(0))
    assert layers.linear.kernel.shape == (3, 2, 2)
    assert layers(x=jnp.ones((1, 2))).shape == (1, 2)
