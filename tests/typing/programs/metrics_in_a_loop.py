"""Metrics in a training loop."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Scores(nnx.MultiMetric):
    def __init__(self) -> None:
        super().__init__(loss=nnx.metrics.Average(), hits=nnx.metrics.Accuracy())


@nnx.jit
def evaluate(model: nnx.Linear, metrics: nnx.MultiMetric, x: jax.Array) -> None:
    logits = model(x)
    metrics.update(values=logits.mean(), logits=logits, labels=jnp.zeros(2, int))


model, scores = nnx.Linear(3, 4, rngs=nnx.Rngs(0)), Scores()
evaluate(model, scores, jnp.ones((2, 3)))
history: dict[str, list[float]] = {"loss": [], "hits": []}
for name, value in scores.compute().items():
    history[name].append(float(value))
scores.reset()
spread = nnx.metrics.Welford("loss")
spread.update(loss=jnp.ones(3))
mean: jax.Array = spread.compute().mean
nnx.metrics.Average("loss").update(loss=1.0)
evaluate(model, scores)  # mistake
evaluate(scores, model, jnp.ones((2, 3)))  # mistake
spread.compute().median  # mistake
nnx.MultiMetric(loss=nnx.Linear)  # mistake
