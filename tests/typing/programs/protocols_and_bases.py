"""A function of any module, and a call that a base class promises."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

import oakum as nnx

Layer = TypeVar("Layer", bound=nnx.Module)


def frozen(layer: Layer) -> Layer:
    layer.eval()
    return layer


def applied(layer: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    return layer(x)


linear = frozen(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
features: int = linear.out_features
y: jax.Array = applied(linear, jnp.ones(2))
y = applied(nnx.jit(linear), jnp.ones(2))
frozen(3)  # mistake
linear.nosuch  # mistake
applied(linear, "x")  # mistake
applied(3, jnp.ones(2))  # mistake
