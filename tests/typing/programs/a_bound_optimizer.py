"""ModelAndOptimizer and Optimizer as arguments and attributes of a trainer."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)

    def loss(self, x: jax.Array) -> jax.Array:
        return (self.inner(x) ** 2).mean()


class Trainer:
    def __init__(self, net: Net, rate: float) -> None:
        self.optimizer = nnx.ModelAndOptimizer(net, optax.adamw(rate), wrt=nnx.Param)
        self.free = nnx.Optimizer(net, optax.sgd(rate), wrt=nnx.Param)

    def step(self, x: jax.Array) -> float:
        loss, grads = nnx.value_and_grad(Net.loss)(self.optimizer.model, x)
        self.optimizer.update(grads)
        return float(loss)

    def step_free(self, net: Net, x: jax.Array) -> float:
        loss, grads = nnx.value_and_grad(Net.loss)(net, x)
        self.free.update(net, grads)
        return float(loss)


@nnx.jit
def step(optimizer: nnx.ModelAndOptimizer[Net], x: jax.Array) -> jax.Array:
    grads = nnx.grad(Net.loss)(optimizer.model, x)
    optimizer.update(grads)
    return optimizer.step.value


net = Net(rngs=nnx.Rngs(0))
trainer = Trainer(net, 1e-3)
x = jnp.ones((1, 2))
losses: list[float] = [trainer.step(x), trainer.step_free(net, x)]
count: jax.Array = step(trainer.optimizer, x)
features: int = trainer.optimizer.model.inner.in_features
state: nnx.State = nnx.state(trainer.optimizer, nnx.OptState)
trainer.optimizer.model.outer  # mistake
trainer.optimizer.model.loss()  # mistake
step(trainer.free, x)  # mistake
step(net, x)  # mistake
trainer.free.update(3, nnx.grad(Net.loss)(net, x))  # mistake
nnx.ModelAndOptimizer(net)  # mistake
nnx.ModelAndOptimizer(net, 0.1)  # mistake
nnx.grad(Net.loss)(net)  # mistake
trainer.optimizer.steps  # mistake
