#!/usr/bin/env bash
# jax 0.10.2, `jax.checkpoint` called outside of a trace: a result that does not depend on the
# arguments is no `jax.Array` but a `TypedNdArray` of a private module, without `.at` and
# `.devices()`; so `isinstance(result, jax.Array)` fails for one output of a function and
# holds for the next. `jax.jit`, `jax.vmap`, `jax.grad` and `jax.linearize` give arrays. Seen:
#   jit ArrayImpl, vmap ArrayImpl, grad ArrayImpl, checkpoint TypedNdArray
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp


def f(x):
    return x * 2, jnp.array(1, jnp.int32)


results = {
    "jit": jax.jit(f)(1.0)[1],
    "vmap": jax.vmap(f)(jnp.ones(2))[1],
    "grad": jax.grad(f, has_aux=True)(1.0)[1],
    "checkpoint": jax.checkpoint(f)(1.0)[1],
}
print(", ".join(f"{name} {type(result).__name__}" for name, result in results.items()))
odd = [name for name, result in results.items() if not isinstance(result, jax.Array)]
assert odd == ["checkpoint"], odd
assert not hasattr(results["checkpoint"], "at")
print("jax", jax.__version__)
PYTHON
