#!/usr/bin/env bash
# jax 0.10.2, CPU: what a program that makes random parameters needs beside them.
# - Of many independent draws, which a model's initialisation is, the temporaries of all live
#   together: more than the results; another scheduler of the same compiler needs a fifth.
# - On explicit axes, `reshard(jax.random.normal(...))` makes the whole array on each device
#   first; `out_sharding=` of the draw, and a constraint on automatic axes, make each part in
#   place. Seen, in MB beside the results a device:
#   12 matrices, 6.3 MB: default 7.3, memory optimized 1.6
#   one matrix over 4 devices, 1.0 MB each: reshard 16.8, out_sharding 3.1, automatic 3.1
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
XLA_FLAGS=--xla_force_host_platform_device_count=4 JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
from jax.random import normal, split
from jax.sharding import AxisType, NamedSharding, PartitionSpec, reshard

KEY, SHAPE, ROWS = jax.random.key(0), (4096, 256), PartitionSpec("data")


def extra(function, **options):
    compiled = jax.jit(function, compiler_options=options).lower(KEY).compile()
    return round(compiled.memory_analysis().temp_size_in_bytes / 1e6, 1)


def matrices(key):
    return [normal(k, (512, 256)) for k in split(key, 12)]


default = extra(matrices)
memory = extra(matrices, xla_cpu_scheduler_type="CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED")
print(f"12 matrices, 6.3 MB: default {default}, memory optimized {memory}")
assert default > 6 and memory < 2
automatic = NamedSharding(
    jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,)), ROWS
)
constrained = extra(
    lambda key: jax.lax.with_sharding_constraint(normal(key, SHAPE), automatic)
)
with jax.set_mesh(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))):
    after = extra(lambda key: reshard(normal(key, SHAPE), ROWS))
    given = extra(lambda key: normal(key, SHAPE, out_sharding=ROWS))
print(
    f"one matrix over 4 devices, 1.0 MB each: reshard {after}, out_sharding {given}, "
    f"automatic {constrained}"
)
assert after > 4 * given and given == constrained
print("jax", jax.__version__)
PYTHON
