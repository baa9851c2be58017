"""Writes a folder as flax.nnx users keep it with orbax, for the tests.

    python scripts/flax_folders.py FOLDER

Run it where one version of flax and an orbax of its time are installed; oakum is not
needed. FOLDER/flax-VERSION.zip holds a model with its optimizer after two steps, in the
layout of that version, and what the model gives for a fixed input. The versions of
tests/train/checkpoint/data are 0.10.0 with orbax-checkpoint 0.8.0 and jax 0.4.35 (plain
dicts with the bits of keys, since that orbax wrote no typed ones), 0.10.7 with 0.11.16
and 0.6.2, 0.11.2 with 0.11.25 and 0.7.1, and 0.12.12 with 0.12.8 and 0.12.0.1.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx

OLDEST = "0.10.0"


class Network(nnx.Module):
    """Layers whose state lies differently in the versions."""

    def __init__(self, rngs: nnx.Rngs):
        layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(2)]
        self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.first, self.second = (nnx.Dropout(0.5, rngs=rngs) for _ in range(2))
        self.rnn = nnx.RNN(nnx.LSTMCell(2, 2, rngs=rngs))
        self.tied = self.layers[0].bias

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        x = self.second(self.first(self.norm(x))) + self.tied.value[None]
        return self.rnn(x[None])[0]


def step(model: Any, optimizer: Any) -> None:
    x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
    grads = nnx.grad(lambda model: (model(x) ** 2).mean())(model)
    if flax.__version__ < "0.11":
        optimizer.update(grads)
    else:
        optimizer.update(model, grads)


def as_saved(state: Any) -> Any:
    if flax.__version__ != OLDEST:
        return state

    def bits(x: Any) -> Any:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(bits, state.to_pure_dict())


def main() -> None:
    model = Network(nnx.Rngs(0, dropout=1))
    wrt = {} if flax.__version__ < "0.11" else {"wrt": nnx.Param}
    optimizer = nnx.Optimizer(model, optax.adam(0.1), **wrt)
    for _ in range(2):
        step(model, optimizer)
    tree = {"model": nnx.state(model), "optimizer": nnx.state(optimizer)}
    tree = {name: as_saved(state) for name, state in tree.items()}
    model.eval()
    expected = np.asarray(model(jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)))
    path = Path(sys.argv[1]) / f"flax-{flax.__version__}.zip"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", 8) as out:
        saved = Path(folder) / "saved"
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(saved, tree)
        (saved / "expected.json").write_text(json.dumps(expected.tolist()))
        for file in sorted(saved.rglob("*")):
            out.write(file, file.relative_to(saved))
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
