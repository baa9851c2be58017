"""The array of a Variable, read."""

import jax
import jax.numpy as jnp

import oakum as nnx

param = nnx.Param(jnp.ones((2, 3)))
array: jax.Array = param.value
array = param[...]
array = param[0]
array = param.get_value()
shape: tuple[int, ...] = param.shape
text: str = param.value  # mistake
text = param[...]  # mistake
param.value.nosuch  # mistake
param.get_value().nosuch  # mistake
param[...].nosuch  # mistake
