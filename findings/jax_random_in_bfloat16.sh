#!/usr/bin/env bash
# jax 0.10.2, `jax.random`: a draw takes its random bits in the dtype of its numbers, and a
# bfloat16 has 7 of them. `categorical` of bfloat16 logits, which models in bfloat16 give, sees
# most of its noise tied and takes the first of the tied: of 1000 equal classes the first half
# gets nearly all of the draws. `bernoulli` of a bfloat16 0.001 is true seven times as often, and
# weights of `normal` have 128 values, none beyond 2.6. Drawn in float32 all is right, and for the
# first two with mode="high"; the default's documented limit is that of float32. Seen:
#   categorical, share of classes 0 to 499: float32 0.49, bfloat16 0.98
#   bernoulli of 0.001: float32 0.0010, bfloat16 0.0077
#   normal, of a million: float32 largest 4.52, bfloat16 largest 2.52, distinct 128
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

KEY, MILLION = jax.random.key(0), (1_000_000,)


def first_half(dtype):
    logits = jnp.zeros(1000, dtype)
    drawn = jax.random.categorical(KEY, logits, shape=(20_000,))
    return float(jnp.mean(drawn < 500))


def often(dtype):
    return float(jnp.mean(jax.random.bernoulli(KEY, jnp.array(0.001, dtype), MILLION)))


def normal(dtype):
    return np.asarray(jax.random.normal(KEY, MILLION, dtype)).astype(np.float32)


single, brain = first_half(jnp.float32), first_half(jnp.bfloat16)
print(f"categorical, share of classes 0 to 499: float32 {single:.2f}, bfloat16 {brain:.2f}")
assert abs(single - 0.5) < 0.02 and brain > 0.8
single, brain = often(jnp.float32), often(jnp.bfloat16)
print(f"bernoulli of 0.001: float32 {single:.4f}, bfloat16 {brain:.4f}")
assert abs(single - 0.001) < 2e-4 and brain > 0.005
single, brain = normal(jnp.float32), normal(jnp.bfloat16)
distinct = len(np.unique(brain))
print(f"normal, of a million: float32 largest {single.max():.2f},", end=" ")
print(f"bfloat16 largest {brain.max():.2f}, distinct {distinct}")
assert single.max() > 4 and brain.max() < 2.6 and distinct <= 128
print("jax", jax.__version__)
PYTHON
