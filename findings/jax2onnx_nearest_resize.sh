#!/usr/bin/env bash
# jax2onnx 0.17.1: `jax.image.resize(method="nearest")` is written with a rounding that takes, at
# sizes that are no multiple of the old one, the pixel before that which JAX takes. Nothing is
# raised and the shape is right, so a decoder that upsamples is off by a pixel in its file alone;
# the file's output has to be compared. Seen, for the input [0, 1, 2, 3]:
#   resize to 6: [0, 0, 1, 2, 2, 3] for [0, 1, 1, 2, 3, 3]; to 8: equal
#
# Runs the pinned packages alone, in a temporary folder; fails if what it says has changed.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  jax==0.10.2 flax==0.12.8 jax2onnx==0.17.1 onnx==1.23.2
JAX_PLATFORMS=cpu venv/bin/python - <<'PYTHON'
import logging

import jax
import jax2onnx
import numpy as np
from onnx.reference import ReferenceEvaluator

logging.disable(logging.CRITICAL)
row = np.arange(4, dtype=np.float32)
for size, written in ((6, [0, 0, 1, 2, 2, 3]), (8, [0, 0, 1, 1, 2, 2, 3, 3])):
    expected = jax.image.resize(row, (size,), "nearest").tolist()
    model = jax2onnx.to_onnx(lambda x: jax.image.resize(x, (size,), "nearest"), [(4,)])
    (output,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: row})
    print(f"resize to {size}: {output.tolist()} for {expected}")
    assert output.tolist() == written and (size == 8) == (written == expected)
print("jax", jax.__version__)
PYTHON
