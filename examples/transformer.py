"""Write Python with a transformer, trained on the source of the standard library.

It ends at 2.1 bits per character of what it was not trained on.
"""

import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import muon

import oakum as nnx
from oakum.cli import launch, plot_curves

FILES = ["argparse", "dataclasses", "doctest", "inspect", "pickle", "tarfile", "typing"]
LENGTH = 128  # As far as a character looks back.


class Config(NamedTuple):
    epochs: int = 2  # Passes over the text.
    batch_size: int = 16  # Pieces of text in a training step.
    learning_rate: float = 2e-2  # At its highest, after a tenth of the steps.
    width: int = 128  # Features of a character.
    layers: int = 3  # Blocks of attention and MLP.
    seed: int = 0  # Decides the first weights, the order of the pieces, the sample.
    out: str = "runs/transformer"  # Folder for the checkpoint and the learning curves.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Block(nnx.Module):
    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.heads, self.rope = heads, nnx.RoPE()
        self.norms = [nnx.RMSNorm(width, rngs=rngs) for _ in range(2)]
        self.qkv = nnx.Linear(width, 3 * width, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(width, width, use_bias=False, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x, cache=None):  # (batch, seq, width)
        x = x + self.attend(self.norms[0](x), cache)
        return x + self.down(nnx.relu(self.up(self.norms[1](x))) ** 2)

    def attend(self, x, cache):
        batch, seq, width = x.shape
        qkv = self.qkv(x).reshape(batch, seq, 3, self.heads, width // self.heads)
        query, key, value = jnp.moveaxis(qkv, 2, 0)  # (batch, seq, heads, head_dim)
        positions = jnp.arange(seq) if cache is None else cache.positions(seq)
        query, key = (
            self.rope(each.swapaxes(1, 2), positions).swapaxes(1, 2)
            for each in (query, key)
        )
        mask = None
        if cache is not None:
            key, value, mask = cache.extend(key, value)
        out = nnx.dot_product_attention(
            query, key, value, mask=mask, is_causal=cache is None
        )
        return self.out(out.reshape(batch, seq, width))


class Model(nnx.Module):
    def __init__(self, width: int, layers: int, *, rngs: nnx.Rngs):
        self.width, self.heads = width, max(1, width // 64)
        init = nnx.initializers.normal(0.02)
        self.embed = nnx.Embed(128, width, embedding_init=init, rngs=rngs)
        self.blocks = [Block(width, self.heads, rngs=rngs) for _ in range(layers)]
        self.norm = nnx.RMSNorm(width, rngs=rngs)

    def __call__(self, codes, caches=None):  # (batch, seq)
        x = self.embed(codes)
        for block, cache in zip(
            self.blocks, caches or [None] * len(self.blocks), strict=True
        ):
            x = block(x, cache)
        return self.embed.attend(self.norm(x))  # (batch, seq, 128)

    def make_caches(self, batch: int):
        size = (batch, LENGTH, self.heads, self.width // self.heads)
        return [nnx.KVCache(*size, ring=True) for _ in self.blocks]


@nnx.jit
def bits_per_char(model, codes):
    logits, targets = model(codes[:, :-1]), codes[:, 1:]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return losses.mean() / jnp.log(2)


@nnx.jit
def train_step(optimizer, codes):
    loss, grads = nnx.value_and_grad(bits_per_char)(optimizer.model, codes)
    optimizer.update(grads)
    return loss


@nnx.jit
def predict(model, codes, caches):
    return model(codes, caches)[:, -1]


def write(model, start: bytes, count: int, rngs: nnx.Rngs) -> str:
    """Goes on from a start, character by character."""
    text, caches = list(start), model.make_caches(1)
    codes = jnp.array([text])
    for _ in range(count):
        logits = predict(model, codes, caches) / 0.8  # a little less random
        codes = jax.random.categorical(rngs(), logits)[:, None]
        text.append(int(codes[0, 0]))
    return bytes(text).decode()


def read_library(names, length: int):
    folder = os.path.dirname(os.__file__)
    files = [os.path.join(folder, f"{name}.py") for name in names]
    codes = np.concatenate([np.fromfile(f, np.uint8) for f in files]) % np.int32(128)
    pieces = codes[: len(codes) // length * length].reshape(-1, length)
    return np.split(pieces, [-len(pieces) // 20])


def main(config: Config):
    train, test = read_library(FILES, LENGTH + 1)
    rngs = nnx.Rngs(config.seed)
    model = Model(config.width, config.layers, rngs=rngs)
    steps = config.epochs * (len(train) // config.batch_size)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, steps // 10, steps
    )
    optimizer = nnx.Optimizer(model, muon(rate))
    state = {"model": model, "optimizer": optimizer}
    with nnx.train.Run(config.out, resume=config.resume, **state) as run:
        for _ in run.epochs(config.epochs):
            for (batch,) in run.batches([train], config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, batch))
            run.record(test_bits_per_char=bits_per_char(model, test))
    plot_curves(run.folder / "curves.png", run.history)
    print(write(model, b"\n\ndef ", 500, rngs).strip())


if __name__ == "__main__":
    launch(main, Config)
