"""split, state and pop with several filters, filters in tuples, and merge."""

import jax

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)


net = Net(rngs=nnx.Rngs(0))
graphdef, params, stats, keys, rest = nnx.split(
    net, nnx.Param, nnx.BatchStat, nnx.RngState, ...
)
again: Net = nnx.merge(graphdef, params, stats, keys, rest)
graphdef, kept, rest = nnx.split(net, (nnx.Param, nnx.BatchStat), ...)
first, second, third = nnx.state(net, nnx.Param, nnx.BatchStat, ...)
one: nnx.State = nnx.state(net, nnx.Any(nnx.Param, nnx.BatchStat))
sown, caches = nnx.pop(net, nnx.Intermediate, nnx.Cache)
alone: nnx.GraphDef[Net] = nnx.graphdef(net)
biases = nnx.state(net, nnx.All(nnx.Param, lambda path, _: path[-1] == "bias"))
typed = nnx.state(net, nnx.OfType(nnx.Param))
tagged = nnx.state(net, nnx.WithTag("note"))


@nnx.jit
def forward(graphdef: nnx.GraphDef[Net], state: nnx.State, x: jax.Array) -> jax.Array:
    return nnx.merge(graphdef, state).inner(x)


a, b, c = nnx.split(net, nnx.Param, nnx.BatchStat, ...)  # mistake
d, e, f, g = nnx.split(net, nnx.Param, ...)  # mistake
h, i = nnx.state(net, nnx.Param, nnx.BatchStat, ...)  # mistake
again.outer  # mistake
forward(params, graphdef, jax.numpy.ones(2))  # mistake
nnx.merge(graphdef, params).outer  # mistake
wrong: nnx.GraphDef[nnx.Linear] = nnx.graphdef(net)  # mistake
nnx.All(3)  # mistake
nnx.PathContains()  # mistake
