"""jit_partial and cached_partial take arguments off the front."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.jit
def forward(model: nnx.Linear, x: jax.Array, scale: float = 1.0) -> jax.Array:
    y = model(x)
    return y * scale


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
cached = nnx.cached_partial(forward, model)
y: jax.Array = cached(x, scale=2.0)
cached("x")  # mistake
cached()  # mistake
nnx.cached_partial(forward, x)  # mistake
cached(x).nosuch  # mistake
