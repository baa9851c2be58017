"""custom_vjp with arguments that are no arrays, and as a decorator with them."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.custom_vjp(nondiff_argnums=(1,))
def powered(x: jax.Array, power: int) -> jax.Array:
    return x**power


def forward(x: jax.Array, power: int) -> tuple[jax.Array, jax.Array]:
    return powered(x, power), x


def backward(power: int, x: jax.Array, g: tuple[object, jax.Array]) -> tuple[jax.Array]:
    return (g[1] * power * x ** (power - 1),)


powered.defvjp(forward, backward)


def clipped(x: jax.Array, limit: float = 1.0) -> jax.Array:
    return jnp.clip(x, -limit, limit)


def forward_clipped(x: jax.Array, limit: float = 1.0) -> tuple[jax.Array, None]:
    return clipped(x, limit), None


def backward_clipped(
    limit: float, _: None, g: tuple[object, jax.Array]
) -> tuple[jax.Array]:
    return (g[1],)


def total(x: jax.Array) -> jax.Array:
    return powered(x, 2).sum()


straight = nnx.custom_vjp(clipped, nondiff_argnums=(1,))
straight.defvjp(forward_clipped, backward_clipped)
x = jnp.ones(2)
y: jax.Array = powered(x, 3)
y = straight(x, 0.5)
y = straight(x)
grads = nnx.grad(total)(x)
powered(x)  # mistake
powered(x, "3")  # mistake
powered(3, x)  # mistake
straight(x, "0.5")  # mistake
text: str = straight(x)  # mistake
nnx.custom_vjp(3)  # mistake
nnx.custom_vjp(clipped, nondiff_argnum=(1,))  # mistake
powered.defvjp()  # mistake
