"""Layers of the library as base classes, with arguments and methods of their own."""

from typing import Any

import jax
import jax.numpy as jnp
from typing_extensions import override

import oakum as nnx


class Scaled(nnx.Linear):
    def __init__(
        self, features: int, *, scale: float = 1.0, rngs: nnx.Rngs, **options: Any
    ) -> None:
        super().__init__(features, features, rngs=rngs, **options)
        self.scale = nnx.Param(jnp.array(scale))

    @override
    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        return super().__call__(inputs, out_sharding) * self.scale


class Normed(nnx.LayerNorm):
    def __init__(self, features: int, rngs: nnx.Rngs) -> None:
        super().__init__(features, use_bias=False, rngs=rngs)

    def spread(self, x: jax.Array) -> jax.Array:
        return self(x).std()


class Cell(nnx.LSTMCell):
    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, width, rngs=rngs)
        self.width = width


class Gate(nnx.Dropout):
    def __init__(self) -> None:
        super().__init__(0.5, rngs=nnx.Rngs(0))


scaled = Scaled(3, scale=0.5, rngs=nnx.Rngs(0), use_bias=False)
y: jax.Array = scaled(jnp.ones(3))
features: int = scaled.in_features
y = Normed(3, nnx.Rngs(0)).spread(y)
layers: list[nnx.Linear] = [scaled, nnx.Linear(3, 3, rngs=nnx.Rngs(0))]
rnn = nnx.RNN(Cell(4, rngs=nnx.Rngs(0)))
y = Gate()(y)
Scaled(3)  # mistake
Scaled("3", rngs=nnx.Rngs(0))  # mistake
Scaled(3, scale="0.5", rngs=nnx.Rngs(0))  # mistake
scaled("x")  # mistake
Normed(3)  # mistake
Cell(4, rngs=nnx.Rngs(0)).widht  # mistake
Gate(0.3)  # mistake
layers.append(Gate())  # mistake
