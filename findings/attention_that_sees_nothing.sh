#!/usr/bin/env bash
# A query that may see no key at all, as a row of padding is: `jax.nn.dot_product_attention` of
# jax 0.10.2 gives it the mean of all values, those of other sequences' padding too, flax 0.12.8
# does as well, and torch 2.13.0 gives zeros. `jax.nn.softmax(where=...)` gives zeros, unlike the
# attention beside it. Ported models agree on all rows but these. Seen, values 0..3 and 4..7,
# the first query sees the first key, the second none:
#   jax [[0, 1, 2, 3], [2, 3, 4, 5]], flax [[0, 1, 2, 3], [2, 3, 4, 5]],
#   torch [[0, 1, 2, 3], [0, 0, 0, 0]]; softmax with where: [0, 0, 0]
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  jax==0.10.2 flax==0.12.8 torch==2.13.0
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import flax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

# batch, length, heads, depth
VALUES = np.arange(8, dtype=np.float32).reshape(1, 2, 1, 4)
ONES, SEEN = np.ones_like(VALUES), np.array([[[[True, False], [False, False]]]])

of_jax = jax.nn.dot_product_attention(ONES, ONES, VALUES, mask=SEEN)
of_flax = nnx.dot_product_attention(ONES, ONES, VALUES, mask=SEEN)
query, value = (torch.tensor(a).transpose(1, 2) for a in (ONES, VALUES))
of_torch = torch.nn.functional.scaled_dot_product_attention(
    query, query, value, attn_mask=torch.tensor(SEEN)
).transpose(1, 2)
rows = [np.asarray(a)[0, :, 0].tolist() for a in (of_jax, of_flax, of_torch)]
print("jax {}, flax {}, torch {}".format(*rows))
assert rows[0] == rows[1] == [[0, 1, 2, 3], [2, 3, 4, 5]]
assert rows[2] == [[0, 1, 2, 3], [0, 0, 0, 0]]
none = jax.nn.softmax(jnp.ones(3), where=jnp.zeros(3, bool))
print("softmax with where:", none.tolist())
assert none.tolist() == [0, 0, 0]
print("jax", jax.__version__, "flax", flax.__version__, "torch", torch.__version__)
PYTHON
