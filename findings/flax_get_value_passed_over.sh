#!/usr/bin/env bash
# flax 0.12.8, `nnx.Variable`: hooks are deprecated in favour of a subclass that overrides
# `get_value`. Operators, `v[...]` and functions of `jax.numpy` see what it gives; methods of the
# array and `np.asarray` see what is stored, so that one sum has two values. Seen:
#   (v + 0).sum() 20.0, jnp.sum(v) 20.0, v.sum() 2.0, np.asarray(v).sum() 2.0
# And `nnx.pop` of an item of an `nnx.List` leaves the length: 2, and no item 1.
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 flax==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import flax
import jax.numpy as jnp
import numpy as np
from flax import nnx


class Scaled(nnx.Variable):
    def get_value(self, **options):
        return super().get_value(**options) * 10


v = Scaled(jnp.ones(2))
seen = float((v + 0).sum()), float(jnp.sum(v))
stored = float(v.sum()), float(np.asarray(v).sum())
print("(v + 0).sum() {}, jnp.sum(v) {},".format(*seen), end=" ")
print("v.sum() {}, np.asarray(v).sum() {}".format(*stored))
assert seen == (20.0, 20.0) and stored == (2.0, 2.0)
one = jnp.ones(1)
items = nnx.List([nnx.Param(one), nnx.BatchStat(one)])
nnx.pop(nnx.Dict(items=items), nnx.BatchStat)
try:
    items[1]
except AttributeError as error:
    print(f"length {len(items)}, item 1: {error}")
else:
    raise SystemExit("the list has an item 1")
assert len(items) == 2
print("flax", flax.__version__)
PYTHON
