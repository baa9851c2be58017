#!/usr/bin/env bash
# flax 0.12.8: `flax.serialization.from_bytes(target, data)`, with which msgpack files are read,
# looks at the names alone: arrays of other shapes and dtypes than those of the target take their
# place, and the first to notice is a product in the model. A name too many or too few raises.
# Seen, for a target of float32 (3,) and (2,):
#   w int32 (5, 2), b float32 (3,); a missing name: ValueError
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 flax==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import flax
import jax.numpy as jnp
from flax import serialization

target = {"w": jnp.zeros(3), "b": jnp.zeros(2)}
data = serialization.to_bytes({"w": jnp.ones((5, 2), jnp.int32), "b": jnp.ones(3)})
read = serialization.from_bytes(target, data)
print(", ".join(f"{name} {a.dtype} {a.shape}" for name, a in read.items()), end="; ")
assert read["w"].dtype == jnp.int32 and read["w"].shape == (5, 2)
assert read["b"].shape == (3,)
try:
    serialization.from_bytes(target, serialization.to_bytes({"w": jnp.ones(3)}))
except ValueError as error:
    print("a missing name:", type(error).__name__)
else:
    raise AssertionError("a missing name was taken")
print("flax", flax.__version__)
PYTHON
