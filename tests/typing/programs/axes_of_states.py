"""vmap and scan with StateAxes, and carried state."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Layer(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.drop(nnx.relu(self.linear(x)))


axes = nnx.StateAxes({(nnx.RngState, nnx.Param): 0, ...: nnx.Carry})


@nnx.split_rngs(splits=3)
@nnx.vmap(in_axes=(nnx.StateAxes({nnx.RngState: 0, ...: None}),))
def make(rngs: nnx.Rngs) -> Layer:
    return Layer(rngs=rngs)


@nnx.scan(in_axes=(axes, nnx.Carry), out_axes=(nnx.Carry, 0), length=3)
def forward(layer: Layer, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = layer(x)
    return x, x.sum()


layers = make(nnx.Rngs(0))
last, sums = forward(layers, jnp.ones(2))
total: jax.Array = last + sums.sum()
apart = nnx.StateAxes({(nnx.RngState, nnx.Param): 0, ...: None})
each: jax.Array = nnx.vmap(Layer.__call__, in_axes=(apart, None))(layers, jnp.ones(2))
nnx.StateAxes(nnx.Param, 0)  # mistake
forward(layers)  # mistake
forward(layers, layers)  # mistake
make(0)  # mistake
layers.linears  # mistake
last.nosuch  # mistake
