"""The four models of `bench/frameworks.py`, once in the words of each framework.

Each file has `train(name)`, which makes model, optimizer and batch, and returns a
function without arguments that makes one step and gives its loss, and the number of
trained parameters. Adam with a rate of 1e-3 throughout.
"""

import numpy as np

from . import sizes as s

DEPTHS = {"residual, 4 blocks": 4, "residual, 16 blocks": 16}
NAMES = (*DEPTHS, "convolutions", "transformer")
RATE = 1e-3


def batch(name):
    """Inputs and targets of one step, as NumPy arrays."""
    rng = np.random.default_rng(0)
    if name in DEPTHS:
        x, y = rng.standard_normal((2, s.ROWS, s.WIDTH), dtype=np.float32)
        return x, y
    if name == "convolutions":
        images = rng.standard_normal((s.IMAGES, s.SIDE, s.SIDE, 1), dtype=np.float32)
        return images, rng.integers(0, s.CLASSES, s.IMAGES).astype(np.int32)
    tokens = rng.integers(0, s.VOCABULARY, (2, s.TEXTS, s.TOKENS)).astype(np.int32)
    return tokens[0], tokens[1]
