#!/usr/bin/env bash
# Sums of small integers, as quantized weights and token counts are, in jax 0.10.2: `jnp.sum` widens
# int8 to int32, `jnp.cumsum` beside it does not and wraps, where NumPy 2.4.6 widens both. Of int4,
# `jnp.sum` raises NumPy's ValueError, since NumPy knows no int4, where `jnp.mean` runs, and
# `jnp.cumsum` wraps too. Naming a dtype mends all. Seen, of four times 100 and of four times 7:
#   int8: sum 400 (int32), cumsum [100, -56, 44, -112]; NumPy [100, 200, 300, 400]
#   int4: sum ValueError, with dtype=int32 28, mean 7.0, cumsum [7, -2, 5, -4]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np

eights, fours = jnp.full(4, 100, jnp.int8), jnp.full(4, 7, jnp.int4)
total, running = jnp.sum(eights), jnp.cumsum(eights)
of_numpy = np.cumsum(np.asarray(eights))
print("int8: sum", total, total.dtype, "cumsum", running.tolist(), "NumPy", of_numpy.tolist())
assert (int(total), total.dtype) == (400, jnp.int32)
assert (running.tolist(), running.dtype) == ([100, -56, 44, -112], jnp.int8)
assert of_numpy.tolist() == [100, 200, 300, 400]
assert jnp.cumsum(eights, dtype=jnp.int32).tolist() == [100, 200, 300, 400]

try:
    jnp.sum(fours)
    raise SystemExit("a sum of int4 ran")
except ValueError as error:
    print("int4: sum raises", error)
assert jnp.mean(fours) == 7.0
running = jnp.cumsum(fours)
print("int4: with a dtype", jnp.sum(fours, dtype=jnp.int32), "cumsum", running.tolist())
assert int(jnp.sum(fours, dtype=jnp.int32)) == 28
assert (running.tolist(), running.dtype) == ([7, -2, 5, -4], jnp.int4)
print("jax", jax.__version__, "NumPy", np.__version__)
PYTHON
