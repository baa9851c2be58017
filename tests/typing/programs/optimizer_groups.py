"""Optimizers of a part of the parameters, and of groups of them."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.body = nnx.Linear(4, 4, rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(nnx.relu(self.body(x)))


def loss_fn(net: Net, x: jax.Array) -> jax.Array:
    return (net(x) ** 2).mean()


net, x = Net(rngs=nnx.Rngs(0)), jnp.ones((1, 4))
head = nnx.All(nnx.Param, nnx.PathContains("head"))
wanted = nnx.DiffState(0, head)
rate = optax.cosine_decay_schedule(1e-3, 10)
optimizer = nnx.Optimizer(net, optax.chain(optax.adam(rate)), wrt=head)
optimizer.update(net, nnx.grad(loss_fn, argnums=wanted)(net, x))
count: jax.Array = optimizer.step.value
groups = nnx.Optimizer(
    net, {nnx.PathContains("bias"): optax.sgd(0.1), ...: optax.adam(1e-3)}
)
model: Net = groups.model
optimizer.tx.init({"w": x})
state = nnx.state(optimizer, nnx.OptState)
nnx.update(optimizer, state)
nnx.Optimizer(net, {"bias": 0.1}, wrt=nnx.Param)  # mistake
optimizer.update(net, 0.1)  # mistake
nnx.DiffState(0)  # mistake
nnx.DiffState("net", nnx.Param)  # mistake
groups.model.tail  # mistake
nnx.grad(loss_fn, argnums=wanted)(net)  # mistake
