"""jit: donation, lowering, shardings, cached calls and static arguments by number."""

import jax
import jax.numpy as jnp

import oakum as nnx


@nnx.jit(static_argnums=(2, 3), donate_argnums=0)
def run(model: nnx.Linear, x: jax.Array, times: int, mode: str = "a") -> jax.Array:
    for _ in range(times):
        x = model(x) if mode == "a" else -model(x)
    return x


@nnx.jit
def several(*xs: jax.Array, **named: jax.Array) -> list[jax.Array]:
    return [*xs, *named.values()]


@nnx.jit
def update(optimizer: nnx.Optimizer[nnx.Linear], *, scale: float = 1.0) -> None:
    return None


model, x = nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.ones(2)
y: jax.Array = run(model, x, 3)
y = run(model, x, 3, mode="b")
y = several(x, x, a=x)[0]
lowered = run.lower(model, x, 3)
compiled = lowered.compile()
wrapped = nnx.jit(run.__wrapped__)
bound = nnx.jit(model)
y = bound(x)
method = nnx.jit(model.__call__)
y = method(x)
nothing: None = nnx.jit(lambda: None)()
run(model, x)  # mistake
run(model, x, "3")  # mistake
run(model, x, 3, mode=4)  # mistake
several("x")  # mistake
several(x, a="x")  # mistake
several(x).nosuch  # mistake
run.nosuch  # mistake
bound()  # mistake
method()  # mistake
nnx.jit(run, donate=0)  # mistake
