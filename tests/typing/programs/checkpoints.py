"""Checkpoints: a file, a folder of steps, and what comes back."""

from pathlib import Path

import optax

import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
nnx.save(Path("runs") / "one.safetensors", model=model, optimizer=optimizer)
nnx.load("runs/one.safetensors", model=model)
blank = nnx.abstract(nnx.Linear, 2, 3, rngs=nnx.Rngs(0))
nnx.load("runs/one.safetensors", model=blank)
with nnx.train.Checkpoints("runs/steps", keep=3) as checkpoints:
    checkpoints.save(10, model=model, optimizer=optimizer)
    steps: list[int] = checkpoints.steps
    best: int | None = checkpoints.best
    checkpoints.load(model=model, optimizer=optimizer)
graphdef, state = nnx.split(model)
pure = nnx.to_pure_dict(state)
nnx.replace_by_pure_dict(state, pure)
again: nnx.Linear = nnx.merge(graphdef, state)
nnx.load(10, model=model)  # mistake
checkpoints.save("10", model=model)  # mistake
checkpoints.restored  # mistake
nnx.train.Checkpoints()  # mistake
again.features  # mistake
