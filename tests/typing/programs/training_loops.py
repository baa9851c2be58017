"""Loops: scan_steps, evaluate, loggers, and what is asked of an optimizer."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

import oakum as nnx


@nnx.train.scan_steps(unroll=2)
@nnx.jit
def step(optimizer: nnx.Optimizer[nnx.Linear], x: jax.Array) -> dict[str, jax.Array]:
    return {"loss": x.sum()}


def score(x: jax.Array) -> dict[str, jax.Array]:
    return {"mean": x.mean()}


def batches() -> Iterator[np.ndarray]:
    yield np.ones((4, 2), "float32")


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.inject_hyperparams(optax.adam)(1e-3))
means: dict[str, float] = nnx.train.evaluate(score, batches())
rate: jax.Array = nnx.train.learning_rate(optimizer)
norm: jax.Array = nnx.train.gradient_norm(nnx.state(model, nnx.Param))
found: str | None = nnx.train.find_nonfinite(model, jnp.ones(2))
made = nnx.train.init_sharded(
    lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)), jax.make_mesh((1,), ("data",))
)
features: int = made.out_features
loggers: list[nnx.train.Logger | str] = [nnx.train.CSVLogger("log.csv"), "json"]
with nnx.train.Run(
    "run", loggers=loggers, save_minutes=5.0, optimizer=optimizer
) as run:
    for x in run.steps(100, batches(), ahead=2):
        run.log(**step(optimizer, x))
        if run.every(10) and run.is_stale(3):
            run.save()
            break
nnx.train.evaluate(3, batches())  # mistake
nnx.train.evaluate(score)  # mistake
nnx.train.learning_rate(model)  # mistake
nnx.train.CSVLogger(3)  # mistake
nnx.train.init_sharded(made)  # mistake
nnx.train.Run("run", save_minutes="5", optimizer=optimizer)  # mistake
nnx.train.Run("run", loggers=[3], optimizer=optimizer)  # mistake
run.every("10")  # mistake
made.nosuch  # mistake
