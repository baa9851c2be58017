"""Variables: kinds, copies, metadata, functions of them, and in-place arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np

import oakum as nnx

param = nnx.Param(jnp.ones(3), sharding=("a",))
stat: nnx.BatchStat[jax.Array] = nnx.BatchStat(jnp.zeros(3))
cache: nnx.Cache[jax.Array] = nnx.Cache(jnp.zeros(3))
counter = nnx.Variable(0)
counter.value += 1
number: int = counter.value
param[...] = param[...] * 2
param[...] -= 0.1 * jnp.ones(3)
param.value = param.value.at[0].set(0.0)
first: jax.Array = param[0]
row: jax.Array = param[1:]
total: jax.Array = (param + stat - cache) / 2.0
total = jnp.dot(param, stat)
total = -param + abs(stat) ** 2
same: jax.Array = param == stat
shape: tuple[int, ...] = param.shape
text: str = str(param.dtype)
array: np.ndarray = np.asarray(param)
size: int = len(param)
copied: nnx.Param[jax.Array] = param.copy()
param.set_value(jnp.zeros(3))
for row in param:
    print(row.shape)
half = param.astype(jnp.bfloat16)
total = param.sum() + param.T
counter.value.nosuch  # mistake
counter.value = "3"  # mistake
total.nosuch  # mistake
param.value.kernel  # mistake
wrong: str = param[0]  # mistake
stat = param  # mistake
nnx.Param()  # mistake
param + "3"  # mistake
param.copy(3, 4)  # mistake
copied.value.nosuch  # mistake
