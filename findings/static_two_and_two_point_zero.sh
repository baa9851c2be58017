#!/usr/bin/env bash
# equinox 0.13.8, flax 0.12.8 and ml_collections 1.1.0: `jax.jit` compiles anew for a static 2.0
# after a static 2, but only where the argument is the number itself. Inside of a static field of
# `eqx.Module`, an attribute of `nnx.Module` or a `FrozenConfigDict`, the two are equal, and so is
# 0.0 to -0.0: the second call runs the program of the first, with its dtype and its number.
# `eqx.filter_jit` does so with a bare number too. Seen, dtype for 2 and then for 2.0:
#   static argument int32 float32; eqx.filter_jit int32 int32; eqx.Module int32 int32
#   nnx.Module int32 int32; FrozenConfigDict int32 int32
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  jax==0.10.2 equinox==0.13.8 flax==0.12.8 ml_collections==1.1.0
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import equinox as eqx
import flax
import jax
import jax.numpy as jnp
import ml_collections
from flax import nnx

ONES = jnp.ones(1, jnp.int32)


class Tree(eqx.Module):
    scale: object = eqx.field(static=True)


class Graph(nnx.Module):
    def __init__(self, scale):
        self.scale = scale


def config(scale):
    return ml_collections.FrozenConfigDict({"scale": scale})


def times(number):
    return ONES * number


def scaled(held):
    return ONES * held.scale


def dtypes(function, wrap=lambda number: number):
    return " ".join(str(function(wrap(number)).dtype) for number in (2, 2.0))


found = {
    "static argument": dtypes(jax.jit(times, static_argnums=0)),
    "eqx.filter_jit": dtypes(eqx.filter_jit(times)),
    "eqx.Module": dtypes(eqx.filter_jit(scaled), Tree),
    "nnx.Module": dtypes(nnx.jit(scaled), Graph),
    "FrozenConfigDict": dtypes(jax.jit(scaled, static_argnums=0), config),
}
print("; ".join(f"{name} {seen}" for name, seen in found.items()))
assert found.pop("static argument") == "int32 float32"
assert set(found.values()) == {"int32 int32"}
print("jax", jax.__version__, "equinox", eqx.__version__, "flax", flax.__version__)
PYTHON
