"""Variable types of one's own: with fields, hooks, and names."""

from typing import Any

import jax
import jax.numpy as jnp

import oakum as nnx


class Cached(nnx.Variable[jax.Array]):
    hits: int

    def on_get_value(self, value: jax.Array) -> jax.Array:
        return value * 2


@nnx.register_variable_name("frozen")
class Frozen(nnx.Param[jax.Array]):
    pass


class Memory(nnx.Module):
    def __init__(self) -> None:
        self.cache = Cached(jnp.zeros(3), hits=0)
        self.kernel = Frozen(jnp.ones((3, 3)), sharding=("in", None))

    def __call__(self, x: jax.Array) -> jax.Array:
        self.cache[...] = self.cache + x
        return self.cache @ self.kernel


memory = Memory()
y: jax.Array = memory(jnp.ones(3))
hits: int = memory.cache.hits
frozen, rest = nnx.state(memory, Frozen, ...)
_, caches, others = nnx.split(memory, Cached, ...)
copied: Cached = memory.cache.replace(jnp.ones(3))
kind: type[nnx.Variable[Any]] = nnx.variable_type_from_name("frozen")
value: jax.Array = frozen["kernel"].value
Cached()  # mistake
memory.kernel.value.nosuch  # mistake
copied.value.nosuch  # mistake
nnx.variable_type_from_name(Frozen)  # mistake
