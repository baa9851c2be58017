"""remat and scan keep the signature, on methods too."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Block(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)

    @nnx.remat
    def __call__(self, x: jax.Array) -> jax.Array:
        return nnx.relu(self.inner(x))


@nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
def forward(x: jax.Array, block: Block) -> jax.Array:
    return block(x)


block = Block(rngs=nnx.Rngs(0))
x = jnp.ones(2)
y: jax.Array = block(x)
y = forward(x, block)
y = nnx.remat(forward, prevent_cse=False)(x, block)
block("x")  # mistake
block()  # mistake
forward(block, x)  # mistake
forward(x, block).nosuch  # mistake
nnx.remat(forward)(x)  # mistake
nnx.scan(forward, lenght=3)  # mistake
