"""split, jax.jit over pure functions, and merge: as with plain JAX."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.inner(x)


net = Net(rngs=nnx.Rngs(0))
graphdef, params = nnx.split(net, nnx.Param)
tx = optax.adam(1e-3)
opt_state: optax.OptState = tx.init(params)


@jax.jit
def loss_fn(params: nnx.State, x: jax.Array) -> jax.Array:
    return nnx.merge(graphdef, params)(x).mean()


grads: nnx.State = nnx.grad(loss_fn)(params, jnp.ones(2))
updates, opt_state = tx.update(grads, opt_state, params)
params = optax.apply_updates(params, updates)
y, after = nnx.merge(graphdef, params)(jnp.ones(2)), nnx.state(net)
out, (graphdef, after) = graphdef.apply(params)(jnp.ones(2))
out, _ = graphdef.apply(after).inner(jnp.ones(2))
out, pair = nnx.call(nnx.split(net))(jnp.ones(2))
again: Net = nnx.merge(*pair)
nnx.update(net, params)
norm: jax.Array = optax.global_norm(grads)
leaves: list[jax.Array] = jax.tree.leaves(params)
nnx.merge(graphdef, params).outer  # mistake
nnx.merge(nnx.state(net), graphdef)  # mistake
nnx.merge(net, params)  # mistake
graphdef.applied(params)  # mistake
net.inner.nosuch  # mistake
