"""train.Run: epochs, batches, what is logged and kept."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import oakum as nnx


@nnx.jit
def step(optimizer: nnx.Optimizer[nnx.Linear], x: jax.Array, y: jax.Array) -> jax.Array:
    def loss_fn(model: nnx.Linear) -> jax.Array:
        return ((model(x) - y) ** 2).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(optimizer.model)
    optimizer.update(grads)
    return loss


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3))
data = np.ones((8, 2), "float32"), np.ones((8, 3), "float32")
with nnx.train.Run("runs/a", resume=False, optimizer=optimizer) as run:
    for _ in run.epochs(3):
        for x, y in run.batches(data, 4, seed=0):
            run.log(loss=step(optimizer, x, y))
        run.record(test=float(jnp.ones(())))
    number: int = run.step
    curves = run.history
run.log(3)  # mistake
run.epochs("3")  # mistake
run.batches(data, "4")  # mistake
nnx.train.Run(resume=True)  # mistake
step(model, data[0], data[1])  # mistake
run.histories  # mistake
