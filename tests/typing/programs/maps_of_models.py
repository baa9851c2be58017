"""vmap over models: ensembles, on methods, called, and with metadata."""

import jax
import jax.numpy as jnp

import oakum as nnx


class Member(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.inner(x)

    @nnx.vmap(in_axes=(None, 0))
    def rows(self, x: jax.Array) -> jax.Array:
        return self(x)


def applied(member: Member, x: jax.Array) -> jax.Array:
    return member(x)


def paired(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, 2 * x


@nnx.split_rngs(splits=4)
@nnx.vmap(in_axes=(0,), transform_metadata={nnx.PARTITION_NAME: "ensemble"})
def ensemble(rngs: nnx.Rngs) -> Member:
    return Member(rngs)


members = ensemble(nnx.Rngs(0))
x = jnp.ones((3, 2))
y: jax.Array = nnx.vmap(applied, in_axes=(0, None))(members, x)
y = Member(nnx.Rngs(0)).rows(x)
y = nnx.vmap(Member.__call__, in_axes=(0, None))(members, x)
y = nnx.vmap(paired, in_axes=0, out_axes=(0, 1))(x)[1]
features: int = members.inner.in_features
axes = nnx.StateAxes({nnx.Param: 0, nnx.RngState: None, ...: None})
nnx.vmap(Member.__call__, in_axes=(axes, 0), axis_name="batch", axis_size=4)
ensemble()  # mistake
ensemble(0)  # mistake
members.rows()  # mistake
members.rows(members)  # mistake
nnx.vmap(Member.__call__, in_axes=(0, None))(members)  # mistake
nnx.vmap(Member.__call__, in_axes=(0, None))(x, members)  # mistake
nnx.vmap(Member.__call__, axis_size="4")  # mistake
members.outer  # mistake
nnx.StateAxes()  # mistake
