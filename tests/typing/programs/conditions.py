"""cond and switch: models that branches change, no operands, other results."""

import jax
import jax.numpy as jnp

import oakum as nnx


def count(model: nnx.BatchNorm) -> None:
    model.mean[...] = model.mean + 1


def keep(model: nnx.BatchNorm) -> None:
    return None


def small() -> tuple[jax.Array, int]:
    return jnp.ones(2), 1


def large() -> tuple[jax.Array, int]:
    return jnp.ones(2), 2


def named(x: jax.Array) -> dict[str, jax.Array]:
    return {"x": x}


norm, x = nnx.BatchNorm(2, rngs=nnx.Rngs(0)), jnp.ones((1, 2))
nnx.cond(x.sum() > 0, count, keep, norm)
y, number = nnx.cond(True, small, large)
total: jax.Array = y * number
found = nnx.switch(1, [named, lambda x: {"x": 2 * x}], x)
total = found["x"]
total = nnx.cond(x[0, 0] > 0, lambda x: x, lambda x: -x, x)
nnx.cond(x.sum() > 0, count, keep, x)  # mistake
nnx.cond(x.sum() > 0, count, norm)  # mistake
a, b, c = nnx.cond(True, small, large)  # mistake
nnx.switch(1, named, x)  # mistake
nnx.switch(1, [named, named], norm)  # mistake
found.x  # mistake
number.nosuch  # mistake
