"""A training run, freezing and abstract models: oakum's own."""

import numpy as np

import oakum as nnx

model = nnx.abstract(nnx.Linear, 2, 3, rngs=nnx.Rngs(0))
features: int = model.out_features
nnx.freeze(model, nnx.PathContains("bias"))
with nnx.train.Run("runs/one", model=model) as run:
    for epoch in run.epochs(3):
        print(epoch)
        for _ in run.batches((np.ones((8, 2)),), size=4, seed=0):
            run.log(loss=1.0)
        run.record()
nnx.abstract(nnx.Linear, 2, "3", rngs=nnx.Rngs(0))  # mistake
nnx.freeze(model, 3)  # mistake
run.nosuch  # mistake
nnx.train.Runs  # mistake
