"""Whether an object is being set up: kept beside it, for wrappers of Linen."""

import gc

import jax

import oakum as nnx
from oakum._objects import _setup


def test_what_is_said_of_a_layer_is_no_part_of_it():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    before = jax.tree.structure(layer), sorted(vars(layer))
    assert not layer._pytree__state.initializing
    layer._pytree__state._initializing = True
    assert layer._pytree__state.initializing
    assert (jax.tree.structure(layer), sorted(vars(layer))) == before


def test_it_is_forgotten_with_the_layer():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    layer._pytree__state._initializing = True
    ident = id(layer)
    assert ident in _setup._kept
    del layer
    gc.collect()
    assert ident not in _setup._kept
