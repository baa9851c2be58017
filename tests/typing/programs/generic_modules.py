"""Modules with type parameters."""

from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

import oakum as nnx

Inner = TypeVar("Inner", bound=nnx.Module)


class Residual(nnx.Module, Generic[Inner]):
    def __init__(self, inner: Inner, scale: float) -> None:
        self.inner = inner
        self.scale = nnx.Param(jnp.array(scale))


class Block(nnx.Module):
    def __call__(self, x: jax.Array) -> jax.Array:
        return x


model = Residual(Block(), 0.5)
y: jax.Array = model.inner(jnp.ones(2))
again = nnx.clone(model)
again.inner(jnp.ones(2))
model.inner.nosuch  # mistake
Residual(3, 0.5)  # mistake
Residual(Block(), "0.5")  # mistake
again.inner.nosuch  # mistake
