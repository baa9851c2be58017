"""vmap keeps the signature."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.vmap
def make(key: jax.Array) -> nnx.Linear:
    return nnx.Linear(2, 3, rngs=nnx.Rngs(key))


@nnx.vmap(in_axes=(0, None))
def forward(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


models = make(jax.random.split(jax.random.key(0), 5))
shape: tuple[int, ...] = models.kernel.shape
y: jax.Array = forward(models, jnp.ones(2))
nnx.vmap(forward, in_axes=nnx.StateAxes({nnx.Param: 0, ...: None}))
make()  # mistake
make("key")  # mistake
models.nosuch  # mistake
forward(models)  # mistake
forward(models, jnp.ones(2)).nosuch  # mistake
nnx.vmap(forward, in_axis=0)  # mistake
