"""while_loop and fori_loop keep the type of the carry."""

import jax
import jax.numpy as jnp

import oakum as nnx

Carry = tuple[nnx.Linear, jax.Array]


def small(carry: Carry) -> jax.Array:
    return carry[1].sum() < 10


def grow(carry: Carry) -> Carry:
    return carry[0], carry[1] + 1


def add(i: int, x: jax.Array) -> jax.Array:
    return x + i


model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
x = jnp.ones(2)
last, y = nnx.while_loop(small, grow, (model, x))
features: int = last.in_features
y = nnx.fori_loop(0, 3, add, x)
nnx.while_loop(small, grow, model)  # mistake
nnx.while_loop(small, add, (model, x))  # mistake
nnx.fori_loop(0, 3, add, "x")  # mistake
last.nosuch  # mistake
