#!/usr/bin/env bash
# orbax-checkpoint 0.12.8, `StandardCheckpointer`: where an array lies on disk is the text of its
# keys, joined by dots. A key with a dot and a nested pair of keys of the same text share a place,
# so that one array is lost and the other restored as both. Keys that are integers, as of the
# layers of a list in a state of flax, come back as text when no target is given, and the leaves
# then stand in the order of that text: taken for leaves of the tree that was saved, layer 2 is
# layer 10. Neither says a word. Seen:
#   {'a.b': 1, 'a': {'b': 0}} comes back with a.b 0.0, a/b 0.0
#   12 layers: [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]; with a target in order True
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 orbax-checkpoint==0.12.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

logging.disable(logging.CRITICAL)


def saved(name, tree):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path.cwd() / name, tree)
    return Path.cwd() / name


def restored(path, *target):
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(path, *target)


back = restored(saved("dots", {"a.b": jnp.ones(2), "a": {"b": jnp.zeros(2)}}))
dotted, nested = float(back["a.b"][0]), float(back["a"]["b"][0])
print(f"{{'a.b': 1, 'a': {{'b': 0}}}} comes back with a.b {dotted}, a/b {nested}")
assert dotted == nested
layers = {number: jnp.array(number) for number in range(12)}
path = saved("layers", layers)
order = [int(leaf) for leaf in jax.tree.leaves(restored(path))]
same = [int(leaf) for leaf in jax.tree.leaves(restored(path, layers))] == list(range(12))
print(f"12 layers: {order}; with a target in order {same}")
assert order == sorted(range(12), key=str) and same
print("jax", jax.__version__, "orbax", ocp.__version__)
PYTHON
