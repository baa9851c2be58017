#!/usr/bin/env bash
# jax 0.10.2, 64-bit numbers off, as they are unless asked for: a seed of more than 32 bits loses
# the upper ones without a word, so that 2**32 is the seed 0 and times in nanoseconds that are
# 4.29 s apart give one key. Of NumPy's int64 as of Python's int. `numpy.random.default_rng` takes
# all bits. Seen:
#   key(2**40 + 7) is key(7): True; of np.int64 True; with 64 bits on: False
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import numpy as np


def is_key_of_seven(seed):
    keys = jax.random.key(seed), jax.random.key(type(seed)(7))
    return keys[0] == keys[1]


python, of_numpy = is_key_of_seven(2**40 + 7), is_key_of_seven(np.int64(2**40 + 7))
jax.config.update("jax_enable_x64", True)
wide = is_key_of_seven(2**40 + 7)
print(f"key(2**40 + 7) is key(7): {python}; of np.int64 {of_numpy}", end="; ")
print(f"with 64 bits on: {wide}")
assert python and of_numpy and not wide
print("jax", jax.__version__)
PYTHON
