"""Walks over a graph."""

import oakum as nnx


class Model(nnx.Module):
    def __init__(self) -> None:
        self.inner = nnx.Linear(2, 3, rngs=nnx.Rngs(0))


model = Model()
for path, module in nnx.iter_modules(model):
    print(path, module)
for path, value in nnx.iter_graph(model):
    print(path, value)
model.set_attributes(deterministic=True)
model.nosuch  # mistake
nnx.iter_modules()  # mistake
model.set_attribute(deterministic=True)  # mistake
