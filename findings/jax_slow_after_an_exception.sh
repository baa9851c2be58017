#!/usr/bin/env bash
# jax 0.10.2, `jax.jit`: where the function raises in the first call with new shapes, and later
# calls with these shapes succeed, all of these go through JAX's Python for good, as if each
# were the first; other shapes keep the fast path. A second `jax.jit` of the same function does
# not bring it back. Seen: Python calls in a call: 0 for the shape that never failed, 142 for
# the other, 142 with a second jax.jit
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import sys

import jax
import jax.numpy as jnp

not_yet = [True]


def f(x):
    if not_yet and len(x) == 2:
        raise ValueError("not yet")
    return x + 1


def python_calls(function, x):
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        function(x)
    finally:
        sys.setprofile(None)
    return count


jitted, fine, failed = jax.jit(f), jnp.ones(1), jnp.ones(2)
jitted(fine)
try:
    jitted(failed)
except ValueError:
    not_yet.clear()
for _ in range(5):
    jitted(fine), jitted(failed)
counts = python_calls(jitted, fine), python_calls(jitted, failed)
again = jax.jit(f)
again(failed), again(failed)
counts += (python_calls(again, failed),)
print("Python calls: never failed, failed once, a second jax.jit:", *counts)
assert counts[0] == 0 and counts[1] > 50 and counts[2] > 50
print("jax", jax.__version__)
PYTHON
