"""transform_metadata: names of axes are gone inside vmap and scan, and back after."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import oakum as nnx
from oakum.errors import ArgumentValueError

LAYERS = {nnx.PARTITION_NAME: "layers"}
KEYS = jax.random.split(jax.random.key(0), 3)


def make_block(library: Any) -> Any:
    class Block(library.Module):
        def __init__(self, key):
            names = library.with_partitioning(
                library.initializers.lecun_normal(), ("in", "out")
            )
            rngs = library.Rngs(key)
            self.linear = library.Linear(
                4, 4, kernel_init=names, rngs=rngs, use_bias=False
            )

        def __call__(self, x):
            seen.append(names_of(self))
            return self.linear(x)

    return Block


seen: list[Any] = []


def names_of(block: Any) -> Any:
    variable = block.linear.kernel
    for key in ("out_sharding", "sharding_names", "sharding"):
        if variable.has_metadata(key):
            return tuple(variable.get_metadata(key))
    return None


def made_and_scanned(library: Any, **scanning: Any) -> list[Any]:
    """The names after vmap, in the body of a scan, and after it."""
    metadata = {library.PARTITION_NAME: "layers"}
    block = make_block(library)
    stack = library.vmap(block, transform_metadata=metadata)(KEYS)
    after = [names_of(stack)]
    seen.clear()
    loop = library.scan(
        lambda x, layer: layer(x),
        in_axes=(library.Carry, 0),
        out_axes=library.Carry,
        transform_metadata=metadata,
        **scanning,
    )
    loop(jnp.ones((2, 4)), stack)
    return [*after, seen[-1], names_of(stack)]


EXPECTED = [("layers", "in", "out"), ("in", "out"), ("layers", "in", "out")]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_the_name_is_added_removed_and_added(compiled):
    assert made_and_scanned(nnx) == EXPECTED
    if compiled:

        @nnx.jit
        def run(stack, x):
            nnx.vmap(lambda m: m(x[0]), in_axes=0, transform_metadata=LAYERS)(stack)

        stack = nnx.vmap(make_block(nnx), transform_metadata=LAYERS)(KEYS)
        run(stack, jnp.ones((2, 4)))
        assert seen[-1] == ("in", "out")
        assert names_of(stack) == EXPECTED[0]


@pytest.mark.peer
def test_flax_gives_the_same_names():
    flax = pytest.importorskip("flax.nnx")
    with flax.use_eager_sharding(False):
        assert made_and_scanned(flax) == EXPECTED == made_and_scanned(nnx)


@pytest.mark.parametrize(("axis", "place"), [(0, 0), (1, 1), (2, 2), (-1, 2)])
def test_the_name_stands_where_the_axis_is(axis, place):
    out = nnx.vmap(make_block(nnx), out_axes=axis, transform_metadata=LAYERS)(KEYS)
    assert out.linear.kernel.shape[place] == 3
    assert names_of(out)[place] == "layers"


def test_the_function_form_and_other_metadata():
    @nnx.vmap(transform_metadata={**LAYERS, "units": "m"})
    def make(key):
        return nnx.Param(jnp.ones(2), sharding_names=("d",), units=("s",))

    assert make(KEYS).sharding_names == ("layers", "d")
    assert make(KEYS).units == ("m", "s")
    inner = nnx.transform_metadata(
        lambda v: v.sharding_names, in_axes=(0,), out_axes=None, partition="layers"
    )
    found = []
    nnx.vmap(lambda v: found.append(inner(v)))(make(KEYS))
    assert found == [("d",)]


def test_a_variable_without_names_stays_without():
    make = nnx.vmap(lambda key: nnx.Param(jnp.ones(2)), transform_metadata=LAYERS)
    assert make(KEYS).sharding_names is None


def test_another_name_is_an_error_that_shows_both():
    stack = nnx.vmap(make_block(nnx), transform_metadata=LAYERS)(KEYS)
    other = {nnx.PARTITION_NAME: "stages"}
    with pytest.raises(ArgumentValueError, match=r"'stages', not 'layers'"):
        nnx.vmap(lambda m: m(jnp.ones((2, 4))), transform_metadata=other)(stack)
    assert names_of(stack) == EXPECTED[0]
