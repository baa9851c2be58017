"""A Metric of one's own, alone, in a MultiMetric and in a jitted step."""

from typing import Any

import jax
import jax.numpy as jnp

import oakum as nnx


class Largest(nnx.Metric):
    def __init__(self, argname: str = "values") -> None:
        self.argname = argname
        self.largest = nnx.metrics.MetricState(jnp.array(-jnp.inf))

    def reset(self) -> None:
        self.largest[...] = jnp.array(-jnp.inf)

    def update(self, **kwargs: Any) -> None:
        self.largest[...] = jnp.maximum(self.largest, kwargs[self.argname].max())

    def compute(self) -> jax.Array:
        return self.largest.value


@nnx.jit
def score(model: nnx.Linear, metric: Largest, x: jax.Array) -> None:
    metric.update(values=model(x))


model, metric = nnx.Linear(2, 3, rngs=nnx.Rngs(0)), Largest()
score(model, metric, jnp.ones((4, 2)))
largest: float = float(metric.compute())
both = nnx.MultiMetric(largest=metric, mean=nnx.metrics.Average())
both.update(values=jnp.ones(3))
named: dict[str, Any] = both.compute()
metric.reset()
score(model, nnx.metrics.Average(), jnp.ones((4, 2)))  # mistake
Largest(3)  # mistake
metric.compute().nosuch  # mistake
metric.smallest  # mistake
metric.update(jnp.ones(3))  # mistake
nnx.MultiMetric(largest=model)  # mistake
text: str = metric.compute()  # mistake
