"""Dataclasses of modules."""

import jax.numpy as jnp

import oakum as nnx


@nnx.dataclass
class Model(nnx.Module):
    width: int
    depth: int = nnx.static(default=3)
    scale: nnx.Param = nnx.data(default_factory=lambda: nnx.Param(jnp.ones(3)))


@nnx.dataclass
class Deep(Model):
    extra: int = 0


model = Model(8)
depth: int = Model(8, depth=2).depth
Deep(8, extra=3)
Model("8")  # mistake
Model()  # mistake
Model(8, dpeth=2)  # mistake
model.nosuch  # mistake
model.scale.value.nosuch  # mistake
Deep(8, extra="3")  # mistake
