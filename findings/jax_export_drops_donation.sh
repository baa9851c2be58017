#!/usr/bin/env bash
# jax 0.10.2: what was jitted with `donate_argnums` and exported by `jax.export` does not donate
# when it is called, neither as it is nor inside another jit: a step that updates its state in
# place needs twice its memory after the export, without a word. Donation can be said anew in the
# jit around the call. Seen, whether the argument was given away:
#   jitted True; exported False; jit of exported False; jit of exported that donates True
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
from jax import export

step = jax.jit(lambda state: state + 1, donate_argnums=0)
exported = export.export(step)(jax.ShapeDtypeStruct((4,), jnp.float32))


def given_away(function):
    state = jnp.zeros(4)
    jax.block_until_ready(function(state))
    return state.is_deleted()


seen = {
    "jitted": given_away(step),
    "exported": given_away(exported.call),
    "jit of exported": given_away(jax.jit(exported.call)),
    "jit of exported that donates": given_away(
        jax.jit(exported.call, donate_argnums=0)
    ),
}
print("; ".join(f"{name} {value}" for name, value in seen.items()))
assert list(seen.values()) == [True, False, False, True]
print("jax", jax.__version__)
PYTHON
