#!/usr/bin/env bash
# optax 0.2.8, `softmax_cross_entropy_with_integer_labels`: a label that is out of range raises
# nothing. PyTorch marks what the loss has to skip by -100; here such a label is counted from
# the end where there are 100 classes or more (a loss that looks right, pulling towards class
# V - 100), and gives nan below that, with a gradient that is finite all the same, as if no
# class were right. Seen, for label -100:
#   3 classes: loss nan, gradient finite True
#   200 classes: loss is that of class 100: True
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check jax==0.10.2 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import jax
import jax.numpy as jnp
import optax

loss = optax.softmax_cross_entropy_with_integer_labels
few, many = jnp.array([0.1, 0.2, 0.7]), jnp.arange(200.0) / 50
skipped = jnp.array(-100)

value, gradient = jax.value_and_grad(loss)(few, skipped)
finite = bool(jnp.isfinite(gradient).all())
print(f"3 classes: loss {value}, gradient finite {finite}")
assert jnp.isnan(value) and finite
wrapped = bool(loss(many, skipped) == loss(many, jnp.array(100)))
print(f"200 classes: loss is that of class 100: {wrapped}")
assert wrapped
print("jax", jax.__version__, "optax", optax.__version__)
PYTHON
