#!/usr/bin/env bash
# jax 0.10.2, without x64: a NumPy array of 64 bits that a jitted function closed over is kept in
# its cast to 32 bits, by the identity of the array, as long as that function is alive. Edited in
# place, it goes on with its old values in what looks at it later, such as other functions that
# are traced after the edit, and `jnp.asarray`; a copy of the array has the new ones. Arrays of
# 32 bits are read anew by each trace. Seen:
#   float64: a function traced after the edit 1.0, jnp.asarray 1.0, of a copy 5.0
#   float32: a function traced after the edit 5.0, jnp.asarray 5.0, of a copy 5.0
#   float64, when the first function has let go of it: 5.0
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

ONES = jnp.ones(3)


def after_an_edit(dtype):
    table = np.ones(3, dtype)
    first = jax.jit(lambda x: x * table)
    assert first(ONES)[0] == 1
    table[...] = 5
    later = jax.jit(lambda x: x + table)(0 * ONES)
    seen = [later, jnp.asarray(table), jnp.asarray(table.copy())]
    first.clear_cache()
    return [float(x[0]) for x in seen], float(jax.jit(lambda x: x - table)(0 * ONES)[0])


for dtype, expected in ((np.float64, [1, 1, 5]), (np.float32, [5, 5, 5])):
    seen, let_go = after_an_edit(dtype)
    names = "a function traced after the edit", "jnp.asarray", "of a copy"
    said = ", ".join(f"{name} {value}" for name, value in zip(names, seen))
    print(f"{np.dtype(dtype)}: {said}")
    assert seen == expected and let_go == -5
print("float64, when the first function has let go of it:", -let_go)
print("jax", jax.__version__)
PYTHON
