"""Attributes of modules and layers, and the methods that every module has."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(4, width, rngs=rngs)
        self.scale = nnx.Param(jnp.ones((3,)))
        self.width = width

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.inner(x) * self.scale


model = Model(3, rngs=nnx.Rngs(0))
width: int = model.width
kernel: jax.Array = model.inner.kernel.value
model.eval()
model.train(noise=0.5)
model.nosuch  # mistake
model.inner.nosuch  # mistake
model.width = "wide"  # mistake
model.wdith = 3  # mistake
model.inner.kernal.value  # mistake
