"""shard_map and pmap keep the signature."""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

import oakum as nnx

mesh = jax.make_mesh((1,), ("data",))


@nnx.shard_map(
    mesh=mesh,
    in_specs=(PartitionSpec(None), PartitionSpec("data")),
    out_specs=PartitionSpec("data"),
)
def forward(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


@nnx.pmap(axis_name="i")
def total(x: jax.Array) -> jax.Array:
    return x


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
y: jax.Array = forward(model, jnp.ones((1, 2)))
y = total(jnp.ones(1))
forward(model)  # mistake
forward(model, "x")  # mistake
total("x")  # mistake
total(jnp.ones(1)).nosuch  # mistake
