"""add_lora, freeze, unfreeze, LoRA layers, and averages of parameters."""

import jax
import jax.numpy as jnp
import optax

import oakum as nnx

rngs = nnx.Rngs(0)
model = nnx.Sequential(nnx.Linear(2, 8, rngs=rngs), nnx.relu)
nnx.add_lora(model, nnx.Linear, rank=2, rngs=rngs)
nnx.freeze(model, nnx.PathContains("bias"))
nnx.unfreeze(model)
optimizer = nnx.Optimizer(model, optax.adam(1e-3))
nnx.merge_lora(model)
adapted = nnx.LoRALinear(2, 3, lora_rank=4, rngs=rngs)
y: jax.Array = adapted(jnp.ones(2))
lora = nnx.LoRA(2, 4, 3, base_module=nnx.Linear(2, 3, rngs=rngs), rngs=rngs)
y = lora(jnp.ones(2))
adapters: nnx.State = nnx.state(model, nnx.LoRAParam)
average = nnx.EMA(model, decay=0.99)
average.update(model)
smooth = average.apply_to(model)
nnx.add_lora(model, rank="2", rngs=rngs)  # mistake
nnx.add_lora(model, nnx.Linear, rngs=rngs)  # mistake
nnx.merge_lora()  # mistake
nnx.LoRA(2, 4, rngs=rngs)  # mistake
nnx.LoRALinear(2, 3, rngs=rngs)  # mistake
adapted.lora.nosuch  # mistake
nnx.EMA(model, decay="0.99")  # mistake
smooth.nosuch  # mistake
nnx.freeze(model, 3)  # mistake
