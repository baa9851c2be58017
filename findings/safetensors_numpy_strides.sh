#!/usr/bin/env bash
# safetensors 0.8.0, `safetensors.numpy.save_file`: an array that is a view (transposed, or
# every second column) is written with the bytes of its base in their order in memory, under
# the view's shape. It comes back with other values, and nothing is said. Seen:
#   transposed: equal False, [[0, 1], [2, 3], [4, 5]] for [[0, 3], [1, 4], [2, 5]]
#   strided: equal False, [[0, 1], [2, 3]] for [[0, 2], [3, 5]]
#   contiguous copy: equal True
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.3.4 safetensors==0.8.0
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

x = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {"transposed": x.T, "strided": x[:, ::2]}
save_file({**views, "copy": np.ascontiguousarray(x.T)}, "x.safetensors")
read = load_file("x.safetensors")
for name, view in views.items():
    equal = np.array_equal(read[name], view)
    print(f"{name}: equal {equal}, {read[name].tolist()} for {view.tolist()}")
    assert read[name].shape == view.shape and not equal
assert np.array_equal(read["copy"], x.T)
print("contiguous copy: equal True;", "safetensors", safetensors.__version__)
PYTHON
