#!/usr/bin/env bash
# flax 0.12.8, `flax.linen.spmd.LogicallyPartitioned.to_nnx_metadata`: it renames the fields of
# the box that it is asked of (`names`, `rules`) in place, so that a question changes the
# answer: afterwards the box has no names and `get_partition_spec` fails. The class above it,
# `flax.core.meta.Partitioned`, answers from a copy. Seen:
#   Partitioned: names before True, after True
#   LogicallyPartitioned: names before True, after False (AttributeError)
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 flax==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import flax
import jax.numpy as jnp
from flax.core.meta import Partitioned
from flax.linen.spmd import LogicallyPartitioned

for cls in (Partitioned, LogicallyPartitioned):
    box = cls(jnp.ones((2, 3)), names=("a", "b"))
    before = hasattr(box, "names") and box.get_partition_spec() is not None
    box.to_nnx_metadata()
    after = hasattr(box, "names")
    print(f"{cls.__name__}: names before {before}, after {after}")
    assert before and after == (cls is Partitioned)
try:
    box.get_partition_spec()
except AttributeError as error:
    print("get_partition_spec:", error, "- flax", flax.__version__)
else:
    raise SystemExit("the box keeps its names now")
PYTHON
