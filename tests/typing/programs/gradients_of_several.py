"""grad and value_and_grad of several arguments, of methods, and beside aux."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import oakum as nnx


class Extra(NamedTuple):
    logits: jax.Array
    number: int


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)

    def loss(self, x: jax.Array, *, weight: float = 1.0) -> jax.Array:
        return weight * self.inner(x).mean()


def loss_fn(net: Net, critic: Net, x: jax.Array) -> tuple[jax.Array, Extra]:
    return net.loss(x) + critic.loss(x), Extra(x, 1)


net, critic = Net(rngs=nnx.Rngs(0)), Net(rngs=nnx.Rngs(1))
x = jnp.ones((1, 2))
(loss, extra), (one, two) = nnx.value_and_grad(loss_fn, argnums=(0, 1), has_aux=True)(
    net, critic, x
)
logits: jax.Array = extra.logits
count: int = extra.number
value: jax.Array = loss
loss, grads = nnx.value_and_grad(Net.loss)(net, x, weight=2.0)
loss, grads = nnx.value_and_grad(net.loss)(x)
grads = nnx.grad(Net.loss, argnums=nnx.DiffState(0, nnx.Param))(net, x)
half = jax.tree.map(jnp.negative, grads)
nnx.value_and_grad(Net.loss)(net, x, weight="2")  # mistake
nnx.value_and_grad(Net.loss)(net, x, 2.0)  # mistake
nnx.value_and_grad(loss_fn, has_aux=True)(net, x)  # mistake
extra.nosuch  # mistake
a, b, c = nnx.value_and_grad(Net.loss)(net, x)  # mistake
nnx.grad(loss_fn, argnums="0", has_aux=True)  # mistake
nnx.value_and_grad(net.loss)(net)  # mistake
nnx.value_and_grad(net)(x).nosuch  # mistake
nnx.grad(3)  # mistake
