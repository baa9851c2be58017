#!/usr/bin/env bash
# flax 0.12.8, its normalizations take the variance as mean(x^2) - mean(x)^2 unless they are told
# `use_fast_variance=False`. float32 has no digits left for that where the mean is large beside
# the spread: at ten thousandfold the output is in the hundreds, where a normalized row of four
# cannot leave 2. The batch norm of haiku 0.0.17 does it with no way to choose; its layer norm,
# and that of equinox 0.13.8, do not. Seen, largest output for 10000, 10001, 10002, 10003:
#   flax LayerNorm 1500.0, GroupNorm 1500.0, BatchNorm 474.3; slow LayerNorm 1.3
#   haiku BatchNorm 474.3, LayerNorm 1.3; equinox LayerNorm 1.3
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 flax==0.12.8 dm-haiku==0.0.17 equinox==0.13.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import equinox as eqx
import flax
import haiku as hk
import jax
import jax.numpy as jnp
from flax import nnx

ROW = jnp.array([[10000.0, 10001.0, 10002.0, 10003.0]])
RNGS = nnx.Rngs(0)


def largest(output):
    return round(float(jnp.abs(output).max()), 1)


def haiku(layer, x):
    function = hk.transform_with_state(layer)
    return largest(function.apply(*function.init(None, x), None, x)[0])


fast = {
    "LayerNorm": largest(nnx.LayerNorm(4, rngs=RNGS)(ROW)),
    "GroupNorm": largest(nnx.GroupNorm(4, 1, rngs=RNGS)(ROW)),
    "BatchNorm": largest(nnx.BatchNorm(1, rngs=RNGS)(ROW.T)),
}
slow = largest(nnx.LayerNorm(4, use_fast_variance=False, rngs=RNGS)(ROW))
print("flax", ", ".join(f"{name} {value}" for name, value in fast.items()), end="; ")
print("slow LayerNorm", slow)
assert min(fast.values()) > 100 and slow == 1.3
batch = haiku(lambda x: hk.BatchNorm(True, True, 0.9)(x, is_training=True), ROW.T)
layer = haiku(lambda x: hk.LayerNorm(-1, True, True)(x), ROW)
other = largest(eqx.nn.LayerNorm(4)(ROW[0]))
print(f"haiku BatchNorm {batch}, LayerNorm {layer}; equinox LayerNorm {other}")
assert batch > 100 and layer == other == 1.3
print("flax", flax.__version__, "haiku", hk.__version__, "equinox", eqx.__version__)
PYTHON
