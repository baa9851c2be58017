"""while_loop and fori_loop: models, tuples, dicts and named tuples as carry."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import oakum as nnx


class Carry(NamedTuple):
    model: nnx.Linear
    x: jax.Array
    steps: jax.Array


def running(carry: Carry) -> jax.Array:
    return carry.steps < 3


def run(carry: Carry) -> Carry:
    return Carry(carry.model, carry.model(carry.x), carry.steps + 1)


def shift(i: int, carry: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {"x": carry["x"] + i}


model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
end = nnx.while_loop(running, run, Carry(model, jnp.ones(2), jnp.array(0)))
features: int = end.model.in_features
y: jax.Array = end.x
moved = nnx.fori_loop(0, 3, shift, {"x": y})
y = moved["x"]
last: nnx.Linear = nnx.fori_loop(0, jnp.array(2), lambda i, model: model, model)
nnx.while_loop(running, run, (model, jnp.ones(2), jnp.array(0)))  # mistake
nnx.while_loop(running, Carry(model, y, y))  # mistake
end.nosuch  # mistake
moved.x  # mistake
nnx.fori_loop(0, 3, shift, {"x": model})  # mistake
nnx.fori_loop("0", 3, shift, moved)  # mistake
text: str = end.x  # mistake
