"""sow, perturb, capture, and hooks of Modules."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.inner(x)
        self.sow(nnx.Intermediate, "features", x)
        x = self.perturb("before", x)
        return nnx.relu(x)


net = Net(rngs=nnx.Rngs(0))
x: jax.Array = net(jnp.ones((1, 2)))
kept: bool = net.sow(
    nnx.Intermediate, "sum", x, init_fn=lambda: 0, reduce_fn=lambda a, b: b
)
sown: nnx.State = nnx.pop(net, nnx.Intermediate)
y: jax.Array = net.perturb("after", x)
net.sow("intermediates", "x", x)
net.sow(nnx.Intermediate, 3, x)  # mistake
net.sow(nnx.Intermediate, "x")  # mistake
net.sow(3, "x", x)  # mistake
net.perturb(x)  # mistake
net.perturb("after", x).nosuch  # mistake
nnx.pop(net)  # mistake
net.pop(nnx.Intermediate)  # mistake
