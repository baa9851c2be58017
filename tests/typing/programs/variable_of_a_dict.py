"""A Variable that holds a pytree."""

import jax
import jax.numpy as jnp

import oakum as nnx

table = nnx.Variable({"a": jnp.ones(3), "b": jnp.ones(3)})
array: jax.Array = table["a"]
array = table.value["b"]
count: nnx.Variable[int] = nnx.Variable(0)
number: int = count.value
table.value.nosuch  # mistake
number = table.value["a"]  # mistake
text: str = count.value  # mistake
