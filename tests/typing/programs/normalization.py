"""Norms, their statistics, and train and eval."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.batch = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.group = nnx.GroupNorm(4, num_groups=2, rngs=rngs)
        self.rms = nnx.RMSNorm(4, use_scale=False, rngs=rngs)
        self.weight = nnx.WeightNorm(nnx.Linear(4, 4, rngs=rngs), rngs=rngs)
        self.spectral = nnx.SpectralNorm(nnx.Linear(4, 4, rngs=rngs), rngs=rngs)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.batch(x, use_running_average=not train)
        x = self.rms(self.group(x))
        y: jax.Array = self.spectral(self.weight(x), update_stats=train)
        return y


net = Net(rngs=nnx.Rngs(0))
y: jax.Array = net(jnp.ones((2, 4)), True)
net.train()
net.eval(momentum=0.5)
mean: jax.Array = net.batch.mean.value
if net.batch.scale is not None:
    mean = net.batch.scale * mean
shadow = nnx.view(net, use_running_average=True)
y = shadow.batch(jnp.ones((2, 4)))
net.batch(jnp.ones((2, 4)), use_average=True)  # mistake
nnx.BatchNorm(4, momentum="0.9", rngs=nnx.Rngs(0))  # mistake
nnx.BatchNorm(rngs=nnx.Rngs(0))  # mistake
nnx.GroupNorm(4, num_groups=2.5, rngs=nnx.Rngs(0))  # mistake
net.batch.mean.value.nosuch  # mistake
net.train(3)  # mistake
shadow.nosuch  # mistake
net.group.mean  # mistake
net(jnp.ones((2, 4)))  # mistake
