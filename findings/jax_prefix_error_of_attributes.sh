#!/usr/bin/env bash
# jax 0.10.2, errors of prefix pytrees (`in_axes`, `out_axes`, `is_leaf` maps): where a registered
# class names its children by `GetAttrKey`, and the prefix has other children than the value,
# the message itself cannot be built: AttributeError from inside of JAX instead of the
# ValueError that says where they differ. orbax-checkpoint 0.12.8 meets it when a class that
# leaves out None is saved, whose structure is sound: `StandardCheckpointer` first maps all to
# None. Seen:
#   DictKey: vmap ValueError, StandardCheckpointer ValueError
#   GetAttrKey: vmap AttributeError, StandardCheckpointer AttributeError
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
from jax.tree_util import DictKey, GetAttrKey, register_pytree_with_keys

logging.getLogger().setLevel(logging.CRITICAL)


def box(key):
    class Box:
        def __init__(self, **fields):
            self.__dict__.update(fields)

    def flatten(box):
        names = tuple(name for name, value in vars(box).items() if value is not None)
        return [(key(name), getattr(box, name)) for name in names], names

    def unflatten(names, values):
        return Box(**dict(zip(names, values, strict=True)))

    register_pytree_with_keys(Box, flatten, unflatten)
    return Box


def raised(function):
    try:
        function()
    except Exception as error:
        return type(error).__name__
    return "nothing"


for key, expected in ((DictKey, "ValueError"), (GetAttrKey, "AttributeError")):
    Box = box(key)
    value, prefix = Box(a=jnp.ones(2), b=jnp.ones(2)), Box(a=0)
    mapped = raised(lambda: jax.vmap(lambda b: b.a, in_axes=(prefix,))(value))
    partly = Box(a=jnp.ones(2), b=None)
    folder = Path.cwd() / key.__name__
    saved = raised(lambda: ocp.StandardCheckpointer().save(folder, partly))
    print(f"{key.__name__}: vmap {mapped}, StandardCheckpointer {saved}")
    assert mapped == saved == expected
print("jax", jax.__version__, "orbax", ocp.__version__)
PYTHON
