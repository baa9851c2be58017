"""Learn to write Python from the source of the standard library."""

import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from transformer import bits_per_char, train_step

import oakum as nnx
from oakum.cli import launch, plot_curves

FILES = ["argparse", "dataclasses", "doctest", "inspect", "pickle", "tarfile", "typing"]


class Config(NamedTuple):
    epochs: int = 3  # Passes over the text.
    batch_size: int = 32  # Pieces of text in a training step.
    learning_rate: float = 4e-3  # Halves with every 300 steps.
    seed: int = 0  # Decides the first weights, the order of the pieces, the sample.
    out: str = "runs/chars"  # Folder for the checkpoint and the learning curves.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Model(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.embed = nnx.Embed(128, width, rngs=rngs)
        self.norms = [nnx.LayerNorm(width, rngs=rngs) for _ in range(6)]
        self.mixes = [nnx.Linear(2 * width, width, rngs=rngs) for _ in range(6)]
        self.head = nnx.Linear(width, 128, rngs=rngs)

    def __call__(self, codes):  # (batch, length)
        x = self.embed(codes)  # (batch, length, width)
        for i, (norm, mix) in enumerate(zip(self.norms, self.mixes, strict=True)):
            here = norm(x)  # Each layer looks twice as far back as the one before it.
            past = jnp.pad(here, ((0, 0), (2**i, 0), (0, 0)))[:, : x.shape[1]]
            x = x + nnx.gelu(mix(jnp.concatenate([here, past], axis=-1)))
        return self.head(x)  # (batch, length, 128)


def main(config: Config):
    files = [os.path.join(os.path.dirname(os.__file__), f"{name}.py") for name in FILES]
    codes = np.concatenate([np.fromfile(f, np.uint8) for f in files]) % np.int32(128)
    train, test = np.split(codes[: len(codes) // 65 * 65].reshape(-1, 65), [-500])
    rngs = nnx.Rngs(config.seed)
    model = Model(128, rngs=rngs)
    rate = optax.exponential_decay(config.learning_rate, 300, 0.5)
    optimizer = nnx.Optimizer(model, optax.adamw(rate))
    with nnx.train.Run(config.out, resume=config.resume, optimizer=optimizer) as run:
        for _ in run.epochs(config.epochs):
            for (batch,) in run.batches([train], config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, batch))
            run.record(test_bits_per_char=bits_per_char(model, test))
    plot_curves(run.folder / "curves.png", run.history)
    predict = nnx.jit(lambda model, codes: model(codes)[0, -1])
    text = list(b"\n" * 60 + b"def ")
    for _ in range(500):
        logits = predict(model, np.array([text[-64:]])) / 0.8  # a little less random
        text.append(int(jax.random.categorical(rngs(), logits)))
    print(bytes(text).decode().strip())


if __name__ == "__main__":
    launch(main, Config)
