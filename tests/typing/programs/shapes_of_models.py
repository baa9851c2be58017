"""eval_shape and abstract: constructors, methods, optimizers, and what is loaded."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx


class Net(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(2, width, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.inner(x)


def pair(net: Net, x: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    return net(x), {"x": x}


def make() -> nnx.Optimizer[Net]:
    return nnx.Optimizer(Net(3, rngs=nnx.Rngs(0)), optax.adam(1e-3), wrt=nnx.Param)


spec = jax.ShapeDtypeStruct((4, 2), jnp.float32)
net = nnx.eval_shape(lambda: Net(3, rngs=nnx.Rngs(0)))
y, parts = nnx.eval_shape(pair, net, spec)
shape: tuple[int, ...] = y.shape
shape = parts["x"].shape
optimizer = nnx.eval_shape(make)
count = optimizer.step
blank = nnx.abstract(Net, 3, rngs=nnx.Rngs(0))
features: int = blank.inner.out_features
dtype = blank.inner.kernel.dtype
state: nnx.State = nnx.eval_shape(lambda: nnx.state(Net(3, rngs=nnx.Rngs(0))))
nnx.eval_shape(net.inner.kernel)  # mistake
net.outer  # mistake
optimizer.nosuch  # mistake
nnx.abstract(Net, "3", rngs=nnx.Rngs(0))  # mistake
nnx.abstract(Net)  # mistake
blank.outer  # mistake
parts["x"].nosuch  # mistake
nnx.eval_shape(3)  # mistake
