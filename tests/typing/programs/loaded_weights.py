"""weights: of PyTorch programs, with rules, in and out."""

from pathlib import Path

import jax.numpy as jnp

import oakum as nnx

model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu)
names = nnx.weights.Rules(
    {"body.weight": "layers.0.kernel", "body.bias": nnx.weights.into("layers.0.bias")},
    ignore="head.*",
)
report = nnx.weights.load(model, Path("llama"), names, dtype=jnp.bfloat16)
report = nnx.weights.load(model, "llama/model.safetensors", only=nnx.Param)
report = nnx.weights.plan(model, "llama")
for line in (*report.missing, *report.extra):
    print(line.name, line.path, line.text)
text: str = str(report)
other = nnx.clone(model)
report = nnx.weights.copy(model, other, dtype="source", skip=nnx.BatchStat)
files: list[str] = nnx.weights.save(model, "out", names, max_shard_size=10**9)
nnx.weights.load(model)  # mistake
nnx.weights.load(model, "llama", dtypes=jnp.bfloat16)  # mistake
report.lost  # mistake
nnx.weights.save(model, 3)  # mistake
nnx.weights.save("out", model)  # mistake
nnx.weights.Rules(3)  # mistake
nnx.weights.into("layers.0.kernel", heads="2")  # mistake
nnx.weights.into("layers.0.kernel", order="other")  # mistake
report.missing[0].nosuch  # mistake
nnx.weights.save(model, "out", max_shard_size="1GB")  # mistake
