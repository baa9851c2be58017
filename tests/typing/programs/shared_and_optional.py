"""Optional and shared parts, unions of layers, and callables as attributes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import oakum as nnx

Activation = Callable[[jax.Array], jax.Array]


class Block(nnx.Module):
    def __init__(
        self,
        width: int,
        *,
        activation: Activation = nnx.gelu,
        norm: type[nnx.LayerNorm] | type[nnx.RMSNorm] = nnx.LayerNorm,
        project: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.activation = activation
        self.norm: nnx.LayerNorm | nnx.RMSNorm = norm(width, rngs=rngs)
        self.project = nnx.Linear(width, width, rngs=rngs) if project else None
        self.tied = self.project

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.activation(self.norm(x))
        return x if self.project is None else self.project(x)


block = Block(4, activation=nnx.relu, norm=nnx.RMSNorm, rngs=nnx.Rngs(0))
y: jax.Array = block(jnp.ones(4))
block.activation = jnp.tanh
if block.tied is not None:
    features: int = block.tied.in_features
if isinstance(block.norm, nnx.RMSNorm):
    print(block.norm.epsilon)
block.tied = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
Block(4, activation=3, rngs=nnx.Rngs(0))  # mistake
Block(4, norm=nnx.BatchNorm, rngs=nnx.Rngs(0))  # mistake
block.project(y)  # mistake
block.activation(block)  # mistake
block.norm = block  # mistake
block.project = nnx.LayerNorm(4, rngs=nnx.Rngs(0))  # mistake
block.activation(y).nosuch  # mistake
