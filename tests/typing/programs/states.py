"""state, pop and clone."""

import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
state: nnx.State = nnx.state(model)
params = nnx.state(model, nnx.Param)
params, rest = nnx.state(model, nnx.Param, ...)
popped: nnx.State = nnx.pop(model, nnx.Intermediate)
copy = nnx.clone(model)
features: int = copy.out_features
for path, leaf in nnx.to_flat_state(state):
    print(path, leaf)
plain = nnx.to_pure_dict(state)
copy.nosuch  # mistake
a, b, c = nnx.state(model, nnx.Param, ...)  # mistake
text: str = nnx.state(model)  # mistake
nnx.clone()  # mistake
plain.nosuch  # mistake
