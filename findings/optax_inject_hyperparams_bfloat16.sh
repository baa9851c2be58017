#!/usr/bin/env bash
# optax 0.2.8, `inject_hyperparams`: it holds the numbers that it is given in the widest dtype of
# the parameters. Where these are all bfloat16, Adam's b2 of 0.999 becomes 1, its second moment
# stays 0 and the correction of its bias divides 0 by 0: every update is nan, where `adam` without
# `inject_hyperparams` trains. One float32 parameter in the model hides it. Seen:
#   adam 0.964844; injected: b2 1.0, parameter nan
#   with a float32 parameter beside it: b2 0.999; hyperparam_dtype=float32: parameter 0.964844
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import optax


def train(tx, steps=3):
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    grads = {"w": jnp.full(2, 0.01, jnp.bfloat16)}
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return float(params["w"][0]), state


def b2(state):
    return round(float(state.hyperparams["b2"]), 4)


plain, _ = train(optax.adam(0.01))
injected, state = train(optax.inject_hyperparams(optax.adam)(learning_rate=0.01))
print(f"adam {plain:.6f}; injected: b2 {b2(state)}, parameter {injected}")
assert plain < 1 and b2(state) == 1 and injected != injected
tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.01)
mixed = tx.init({"w": jnp.ones(2, jnp.bfloat16), "scale": jnp.ones(2)})
wide, _ = train(
    optax.inject_hyperparams(optax.adam, hyperparam_dtype=jnp.float32)(learning_rate=0.01)
)
print(f"with a float32 parameter beside it: b2 {b2(mixed)};", end=" ")
print(f"hyperparam_dtype=float32: parameter {wide:.6f}")
assert b2(mixed) == 0.999 and wide == plain
print("jax", jax.__version__, "optax", optax.__version__)
PYTHON
