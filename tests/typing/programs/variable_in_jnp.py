"""jnp and jax.nn functions take Variables."""

import jax
import jax.numpy as jnp

import oakum as nnx

param = nnx.Param(jnp.ones((3, 3)))
x = jnp.ones(3)
y: jax.Array = jnp.sum(param)
y = jnp.dot(x, param)
y = jnp.where(param > 0, param, 0)
y = jax.nn.softmax(param)
y = jnp.einsum("i,ij->j", x, param)
y = param.mean(axis=0)
y = param.T.reshape(9)
text: str = jnp.sum(param)  # mistake
text = param.mean()  # mistake
