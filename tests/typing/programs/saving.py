"""save and load: oakum's own."""

import oakum as nnx

model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
nnx.save("model.safetensors", model=model)
nnx.load("model.safetensors", model=model)
average = nnx.EMA(model, decay=0.9)
average.update(model)
smooth: nnx.Linear = average.apply_to(model)
nnx.save(3, model=model)  # mistake
nnx.save("model.safetensors", model)  # mistake
nnx.load(model=model)  # mistake
smooth.nosuch  # mistake
