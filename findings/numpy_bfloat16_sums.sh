#!/usr/bin/env bash
# numpy 2.4.6 with ml_dtypes 0.6.0: NumPy sums float16 pairwise, and takes its means in float32;
# bfloat16, which is what `np.asarray` gives of a JAX array of that dtype, it adds one by one
# in bfloat16. A sum of ones stops at 256, and the mean, the variance and `np.average` go wrong
# with it, silently; `np.dot` and `np.linalg.norm` are right. Seen, for 1000 ones:
#   float16: sum 1000.0, mean 1.0; bfloat16: sum 256.0, mean 0.255859, var 0.255859
#   bfloat16: average 0.255859, dot 1000.0, norm 31.6; mean(dtype=float32) 1.0
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
venv/bin/python - <<'PYTHON'
import ml_dtypes
import numpy as np

half, brain = np.ones(1000, np.float16), np.ones(1000, ml_dtypes.bfloat16)
print(f"float16: sum {half.sum()}, mean {half.mean()}", end="; ")
assert half.sum() == 1000 and half.mean() == 1 and half.var() == 0
total, mean, variance = float(brain.sum()), float(brain.mean()), float(brain.var())
print(f"bfloat16: sum {total}, mean {mean:.6f}, var {variance:.6f}")
assert total == 256 and abs(mean - 0.2559) < 1e-3 and variance > 0.25
average, dot = float(np.average(brain)), float(np.dot(brain, brain))
norm, wide = float(np.linalg.norm(brain)), float(brain.mean(dtype=np.float32))
print(f"bfloat16: average {average:.6f}, dot {dot}, norm {norm:.1f};", end=" ")
print(f"mean(dtype=float32) {wide}")
assert average == mean and dot == 1000 and round(norm, 1) == 31.6 and wide == 1
print("numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__)
PYTHON
