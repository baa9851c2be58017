"""A metric, and an attribute of one."""

import jax
import jax.numpy as jnp

import oakum as nnx

metrics = nnx.MultiMetric(loss=nnx.metrics.Average("loss"))
metrics.loss.update(loss=jnp.ones(3))
metrics.reset()
mean: jax.Array = nnx.metrics.Average().compute()
metrics.reset(3)  # mistake
metrics.compute(3)  # mistake
mean.nosuch  # mistake
