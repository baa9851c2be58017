"""Annotations without type arguments mean arrays."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    scale: nnx.Param

    def __init__(self) -> None:
        self.scale = nnx.Param(jnp.ones(3))


def total(param: nnx.Param, state: nnx.State) -> jax.Array:
    return param.value.sum() + jnp.asarray(len(state))


total(Model().scale, nnx.state(Model()))
total(Model(), nnx.state(Model()))  # mistake
total(Model().scale, nnx.Param)  # mistake
total(Model().scale)  # mistake
