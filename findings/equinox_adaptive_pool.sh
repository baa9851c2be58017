#!/usr/bin/env bash
# equinox 0.13.8, `AdaptiveAvgPool1d` and its kin, named as PyTorch's: where the size does not
# divide, the parts do not overlap, as PyTorch's do, so that weights moved over give other
# numbers. `AvgPool1d(use_ceil=True)` divides its last window by the whole kernel, counting
# what lies outside as zeros, where PyTorch's `ceil_mode` divides by what lies inside. Seen:
#   0 to 4 into 2: equinox [1.0, 3.5], mean of the parts that overlap [1.0, 3.0]
#   ones, windows of 2 with a last half: equinox [1.0, 1.0, 0.5]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 equinox==0.13.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import equinox as eqx
import jax.numpy as jnp

x = jnp.arange(5.0)[None]
pooled = eqx.nn.AdaptiveAvgPool1d(2)(x)[0].tolist()
# The rule of PyTorch: part i is from floor(i * 5 / 2) to ceil((i + 1) * 5 / 2).
parts = [x[0, i * 5 // 2 : -(-(i + 1) * 5 // 2)] for i in range(2)]
overlapping = [float(part.mean()) for part in parts]
print(f"0 to 4 into 2: equinox {pooled}, mean of the parts that overlap {overlapping}")
assert pooled == [1.0, 3.5] and overlapping == [1.0, 3.0]
last = eqx.nn.AvgPool1d(2, stride=2, use_ceil=True)(jnp.ones((1, 5)))[0].tolist()
print(f"ones, windows of 2 with a last half: equinox {last}")
assert last == [1.0, 1.0, 0.5]
print("equinox", eqx.__version__)
PYTHON
