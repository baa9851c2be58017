#!/usr/bin/env bash
# optax 0.2.8 with flax 0.12.8: `optax.contrib.muon` is for matrices, and knows them by their
# rank, 2. The kernels of `nnx.MultiHeadAttention` have rank 3 and its biases rank 2, so that
# these are made orthogonal as if they were matrices, and the kernels go to Adam, with nothing
# said. `adafactor` looks at the two largest axes, of which a head is one: under 128 features a
# head, each kernel keeps a second moment of its full size. Seen, for 8 heads of 64:
#   Muon: key.bias, query.bias, value.bias
#   Adam: key.kernel, out.bias, out.kernel, query.kernel, value.kernel
#   adafactor: 262144 numbers for a kernel (512, 8, 64), 1024 for (512, 512)
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 flax==0.12.8 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import flax
import jax
import jax.numpy as jnp
import optax
from flax import nnx

attention = nnx.MultiHeadAttention(8, 512, decode=False, rngs=nnx.Rngs(0))
params = nnx.to_pure_dict(nnx.state(attention, nnx.Param))
state = optax.contrib.muon(0.1).init(params)


def names(part):
    first_moment = state.inner_states[part].inner_state[0].mu
    leaves = jax.tree_util.tree_leaves_with_path(first_moment)
    return sorted(".".join(key.key for key in path) for path, _ in leaves)


def slots(kernel):
    leaves = jax.tree.leaves(optax.adafactor(0.1).init({"kernel": kernel}))
    return sum(leaf.size for leaf in leaves if leaf.size > 1)


print("Muon:", ", ".join(names("muon")))
print("Adam:", ", ".join(names("adam")))
assert names("muon") == ["key.bias", "query.bias", "value.bias"]
assert [name for name in names("adam") if "kernel" in name] == [
    "key.kernel", "out.kernel", "query.kernel", "value.kernel",
]  # fmt: skip
kernel = params["query"]["kernel"]
whole, factored = slots(kernel), slots(jnp.ones((512, 512)))
print(f"adafactor: {whole} numbers for a kernel {kernel.shape}, {factored} for (512, 512)")
assert kernel.shape == (512, 8, 64) and whole == 512 * 512 and factored == 1024
print("jax", jax.__version__, "optax", optax.__version__, "flax", flax.__version__)
PYTHON
