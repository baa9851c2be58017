"""Sequential: its layers, functions among them, and what it returns."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import oakum as nnx


def mlp(sizes: list[int], act: Callable[[jax.Array], jax.Array]) -> nnx.Sequential:
    rngs = nnx.Rngs(0)
    layers: list[Callable[..., jax.Array]] = []
    for i, size in enumerate(sizes[1:]):
        layers += [nnx.Linear(sizes[i], size, rngs=rngs), act]
    return nnx.Sequential(*layers)


class Classifier(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.net = nnx.Sequential(
            nnx.Conv(1, 4, (3, 3), rngs=rngs),
            lambda x: nnx.max_pool(x, (2, 2), strides=(2, 2)),
            nnx.BatchNorm(4, rngs=rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        y: jax.Array = self.net(x)
        return y


model = mlp([2, 3, 4], nnx.gelu)
y: jax.Array = nnx.jit(model)(jnp.ones(2))
y = Classifier(rngs=nnx.Rngs(0))(jnp.ones((1, 8, 8, 1)))
model.train()
mlp([2, 3], nnx.Linear)  # mistake
mlp((2, "3"), nnx.gelu)  # mistake
model.eval(3)  # mistake
Classifier(rngs=nnx.Rngs(0)).nets  # mistake
nnx.Sequential("relu")  # mistake
