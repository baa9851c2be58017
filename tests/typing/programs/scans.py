"""scan: forms of the carry, of inputs and of outputs."""

import jax
import jax.numpy as jnp

import oakum as nnx


def cumulative(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return carry + x, carry * x


@nnx.scan(length=3, in_axes=nnx.Carry, out_axes=nnx.Carry)
def thrice(x: jax.Array) -> jax.Array:
    return 2 * x


@nnx.scan(in_axes=(nnx.StateAxes({nnx.Param: None, ...: nnx.Carry}), nnx.Carry, 0))
def unrolled(
    cell: nnx.GRUCell, carry: jax.Array, x: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return cell(carry, x)


cell = nnx.GRUCell(2, 4, rngs=nnx.Rngs(0))
total, products = nnx.scan(cumulative)(jnp.zeros(2), jnp.ones((3, 2)))
y: jax.Array = total + products.sum()
y = thrice(jnp.ones(2))
carry, ys = unrolled(cell, jnp.zeros(4), jnp.ones((5, 2)))
shape: tuple[int, ...] = ys.shape
back = nnx.scan(cumulative, reverse=True, unroll=2)(jnp.zeros(2), jnp.ones((3, 2)))
nnx.scan(cumulative)(jnp.zeros(2))  # mistake
nnx.scan(cumulative)(jnp.zeros(2), "xs")  # mistake
nnx.scan(cumulative, length="3")  # mistake
thrice()  # mistake
thrice("x")  # mistake
unrolled(jnp.zeros(4), cell, jnp.ones((5, 2)))  # mistake
a, b, c = unrolled(cell, jnp.zeros(4), jnp.ones((5, 2)))  # mistake
ys.nosuch  # mistake
nnx.scan(3)  # mistake
