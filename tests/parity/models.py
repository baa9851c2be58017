"""Models that several areas of idioms are about; `nnx` is the library."""

import jax
import jax.numpy as jnp


def make_mesh():
    auto = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((1, 2), ("layers", "mlp"), axis_types=auto)


def make_stack(nnx, n=3, seed=0):
    @nnx.split_rngs(splits=n)
    @nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs):
        return nnx.Linear(2, 2, rngs=rngs)

    return make(nnx.Rngs(seed))


def make_counter(nnx, start=0):
    class Counter(nnx.Module):
        def __init__(self):
            self.n = nnx.Variable(jnp.array(start))
            self.w = nnx.Param(jnp.ones(2))

        def __call__(self, x):
            self.n[...] += 1
            return x * self.w

    return Counter()


def make_mlp(nnx, seed=0):
    class MLP(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(2, 3, rngs=rngs)
            self.second = nnx.Linear(3, 1, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.norm = nnx.BatchNorm(3, rngs=rngs)

        def __call__(self, x):
            return self.second(self.dropout(self.norm(self.first(x))))

    return MLP(nnx.Rngs(seed))


def make_blocks(nnx):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.blocks = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(2)])
            self.norm = nnx.BatchNorm(2, rngs=rngs)
            self.head = nnx.Linear(2, 1, use_bias=False, rngs=rngs)

        def __call__(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    return Model(nnx.Rngs(0))


def paths(nnx, node, *filters):
    """The paths of a model or a state, in order."""
    state = node if isinstance(node, nnx.State) else nnx.state(node, *filters)
    return sorted(".".join(map(str, path)) for path, _ in nnx.to_flat_state(state))


def make_sower(nnx, more=0):
    """A module that records its input, `more` added to it, and returns it."""

    class Sower(nnx.Module):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "seen", x + more)
            return x

    return Sower()
