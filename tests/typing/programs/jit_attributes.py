"""What a compiled function has beside its call."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.jit
def step(model: nnx.Linear, x: jax.Array) -> jax.Array:
    return model(x)


model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
x = jnp.ones(2)
lowered = step.lower(model, x)
text: str = lowered.as_text()
y: jax.Array = lowered.compile()(model, x)
step.trace(model, jax.ShapeDtypeStruct((2,), jnp.float32))
shape = step.eval_shape(model, x).shape
step.clear_cache()
step.nosuch  # mistake
step.lowr(model, x)  # mistake
lowered.nosuch  # mistake
