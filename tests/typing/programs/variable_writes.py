"""The array of a Variable, written."""

import jax.numpy as jnp
import numpy as np

import oakum as nnx

param = nnx.Param(jnp.ones(3))
param.value = jnp.zeros(3)
param.value = np.zeros(3)
param[...] = jnp.zeros(3)
param[...] += 1
param[0] = 3.0
param.set_value(jnp.zeros(3))
param.value = "zeros"  # mistake
param.value = None  # mistake
param.set_value()  # mistake
