"""Metrics."""

import jax
import jax.numpy as jnp

import oakum as nnx

average = nnx.metrics.Average("loss")
average.update(loss=jnp.ones(3))
mean: jax.Array = average.compute()
average.reset()
metrics = nnx.MultiMetric(
    accuracy=nnx.metrics.Accuracy(), loss=nnx.metrics.Average("loss")
)
metrics.update(logits=jnp.ones((3, 2)), labels=jnp.zeros(3, int), loss=jnp.ones(3))
results = metrics.compute()
results["accuracy"]
deviation = nnx.metrics.Welford().compute().standard_deviation
nnx.metrics.Average(3)  # mistake
average.nosuch  # mistake
average.reset(3)  # mistake
text: str = average.compute()  # mistake
nnx.metrics.Accuracy(threshold="0.5")  # mistake
results.nosuch  # mistake
