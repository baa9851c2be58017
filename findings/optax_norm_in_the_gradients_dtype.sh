#!/usr/bin/env bash
# optax 0.2.8, `clip_by_global_norm` and `tree.norm`: the norm is taken in the dtype of the
# gradients. In float16 it is inf from 256 on in its parts, or where the sum of squares passes
# 65504: the clipped gradients are then all 0, so that training stands still without a nan. In
# bfloat16 the sum over the leaves stops growing: a tree of 1000 leaves has about half of its
# norm, and is clipped half as much. Seen, of ten gradients of 100, then 1000 leaves of 100 ones:
#   float32: clipped to 0.3162; float16: norm inf, clipped to 0.0
#   float32: norm 316.2; bfloat16: norm 181.0
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

clip = optax.clip_by_global_norm(1.0)


def clipped(dtype):
    grads = {"w": jnp.full(10, 100, dtype)}
    updates, _ = clip.update(grads, clip.init(grads))
    return float(optax.tree.norm(grads)), round(float(updates["w"][0]), 4)


def norm_of_many(dtype):
    leaf = jnp.ones(100, dtype)
    return round(float(optax.tree.norm([leaf] * 1000)), 1)


_, single = clipped(jnp.float32)
norm, half = clipped(jnp.float16)
print(f"float32: clipped to {single}; float16: norm {norm}, clipped to {half}")
assert single == 0.3162 and norm == float("inf") and half == 0
single, brain = norm_of_many(jnp.float32), norm_of_many(jnp.bfloat16)
print(f"float32: norm {single}; bfloat16: norm {brain}")
assert single == 316.2 and brain < 200
print("jax", jax.__version__, "optax", optax.__version__)
PYTHON
