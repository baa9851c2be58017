#!/usr/bin/env bash
# jax 0.10.2, CPU, four devices: `jax.device_put(x, sharding, may_alias=False)` from one device
# to all of them still gives an array whose part there is the memory of `x`: donating the new
# array deletes the old one. From a device to itself the copy is made. Seen:
#   replicated: old array deleted True; with may_alias=False True
#   one device: with may_alias=False False
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
XLA_FLAGS=--xla_force_host_platform_device_count=4 JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

give = jax.jit(lambda array: array + 1, donate_argnums=0)


def deleted(target, **options):
    old = jnp.ones(8)
    give(jax.device_put(old, target, **options))
    return old.is_deleted()


everywhere = NamedSharding(jax.make_mesh((4,), ("data",)), PartitionSpec())
shared, copied = deleted(everywhere), deleted(everywhere, may_alias=False)
print(f"replicated: old array deleted {shared}; with may_alias=False {copied}")
assert shared and copied
alone = deleted(jax.devices()[0], may_alias=False)
print(f"one device: with may_alias=False {alone}")
assert not alone
print("jax", jax.__version__)
PYTHON
