"""split and merge keep the class, and count the States."""

import jax.numpy as jnp

import oakum as nnx


class Model(nnx.Module):
    def __init__(self) -> None:
        self.inner = nnx.Linear(2, 3, rngs=nnx.Rngs(0))


model = Model()
graphdef, state = nnx.split(model)
graphdef, params, rest = nnx.split(model, nnx.Param, ...)
again = nnx.merge(graphdef, params, rest)
shape: tuple[int, ...] = again.inner.kernel.shape
nnx.update(model, state)
leaf = state["inner"]["kernel"]
leaf = state.inner.kernel


def build(graphdef: nnx.GraphDef[Model], state: nnx.State) -> Model:
    return nnx.merge(graphdef, state)


again.nosuch  # mistake
a, b, c = nnx.split(model, nnx.Param)  # mistake
d, e = nnx.split(model, nnx.Param, ...)  # mistake
nnx.merge(model, state)  # mistake
text: str = nnx.merge(graphdef, state)  # mistake
build(state, graphdef)  # mistake
nnx.update(model)  # mistake
jnp.sum(graphdef)  # mistake
