"""Arithmetic with Variables gives arrays."""

import jax
import jax.numpy as jnp

import oakum as nnx

param = nnx.Param(jnp.ones(3))
x = jnp.ones(3)
y: jax.Array = x * param
y = param * x
y = 2 * param + 1
y = param @ param
y = -param
y = param**2 / 3
y = param > 0
text: str = x * param  # mistake
text = param + 1  # mistake
param + "one"  # mistake
(param * 2).nosuch  # mistake
