"""List and Dict, and plain ones as attributes."""

import jax

import oakum as nnx


class Model(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(3)])
        self.heads = nnx.Dict({"a": nnx.Linear(2, 2, rngs=rngs)})
        self.plain = {"b": nnx.Linear(2, 2, rngs=rngs)}

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return self.heads["a"](self.plain["b"](x))


model = Model(rngs=nnx.Rngs(0))
first: nnx.Linear = model.layers[0]
head: nnx.Linear = model.heads["a"]
model.layers.append(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
size: int = len(model.layers)
model.layers[0].nosuch  # mistake
model.heads["a"].nosuch  # mistake
model.plain["b"].nosuch  # mistake
model.layers.push(first)  # mistake
model.layers.append(3)  # mistake
