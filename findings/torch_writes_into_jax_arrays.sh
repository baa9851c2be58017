#!/usr/bin/env bash
# torch 2.13.0 with jax 0.10.2: a tensor made by `torch.from_dlpack(array)` from a JAX array
# shares its memory and can be written, and the write changes the array, which JAX and its
# compiled programs take for immutable. NumPy's view of the same array is read-only. A clone is
# safe. Seen, the JAX array after writing 5 into the tensor, and into its clone:
#   [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]; numpy.from_dlpack: writeable False
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 torch==2.13.0
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import torch


def after_writing(convert):
    array = jnp.zeros(3)
    convert(array)[0] = 5
    return array.tolist()


shared = after_writing(torch.from_dlpack)
cloned = after_writing(lambda array: torch.from_dlpack(array).clone())
writeable = np.from_dlpack(jnp.zeros(3)).flags.writeable
print(f"{shared}, {cloned}; numpy.from_dlpack: writeable {writeable}")
assert shared == [5, 0, 0] and cloned == [0, 0, 0] and not writeable
print("jax", jax.__version__, "torch", torch.__version__)
PYTHON
