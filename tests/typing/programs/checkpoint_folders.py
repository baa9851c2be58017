"""train.Checkpoints: what is kept, asked, loaded, and where the best is."""

from pathlib import Path

import optax

import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
kept = nnx.train.Checkpoints(Path("runs"), keep=None, best="loss", higher=False)
saved: bool = kept.save(1, metrics={"loss": 0.5}, model=model, optimizer=optimizer)
last: int = kept.load(model=model, optimizer=optimizer)
kept.load(kept.best, strict=False, model=model)
for step in kept.steps:
    print(step + 1)
kept.wait()
kept.close()
with nnx.train.Checkpoints("runs", every=10) as others:
    if others.steps:
        others.load(others.steps[-1], model=model)
nnx.train.Checkpoints("runs", keep="3")  # mistake
nnx.train.Checkpoints("runs", evry=10)  # mistake
kept.save(1.5, model=model)  # mistake
kept.save(1, metrics=0.5, model=model)  # mistake
kept.save(1, model)  # mistake
kept.load("1", model=model)  # mistake
kept.steps.nosuch  # mistake
number: int = kept.best  # mistake
