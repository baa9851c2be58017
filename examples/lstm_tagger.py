"""Tag each letter of a sequence: seen before or not, and to come again or not.

It ends at 99.9% of the letters.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

import oakum as nnx
from oakum.cli import launch, plot_curves

LETTERS, LENGTH = 10, 24


class Config(NamedTuple):
    epochs: int = 6  # Passes over the training sequences.
    batch_size: int = 64  # Sequences in a training step.
    learning_rate: float = 1e-2  # At first; falls to 0.
    width: int = 64  # Features of a letter, and of an LSTM's state.
    seed: int = 0  # Decides the first weights and the order of the sequences.
    out: str = "runs/lstm_tagger"  # Folder for the checkpoint and the learning curves.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Model(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.embed = nnx.Embed(LETTERS, width, rngs=rngs)
        forward, backward = (
            nnx.RNN(nnx.OptimizedLSTMCell(width, width, rngs=rngs)) for _ in range(2)
        )
        self.lstm = nnx.Bidirectional(forward, backward)
        self.head = nnx.Linear(2 * width, 4, rngs=rngs)

    def __call__(self, letters, lengths):  # (batch, length), (batch,)
        x = self.lstm(self.embed(letters), seq_lengths=lengths)
        return self.head(x)  # (batch, length, 4)


def generate(count: int, seed: int):
    """Random sequences, their lengths, and the tag of each letter.

    The first bit of a tag says whether the letter stood there before, the second
    whether it comes again; one takes looking back, the other ahead.
    """
    rng = np.random.default_rng(seed)
    letters = rng.integers(0, LETTERS, (count, LENGTH)).astype(np.int32)
    lengths = rng.integers(LENGTH // 2, LENGTH + 1, count).astype(np.int32)
    inside = np.arange(LENGTH) < lengths[:, None]
    same = letters[:, :, None] == letters[:, None, :]
    same &= inside[:, None, :]  # (count, letter, other)
    before = np.tril(same, -1).any(axis=-1)
    again = np.triu(same, 1).any(axis=-1)
    return letters, lengths, (before + 2 * again).astype(np.int32)


def mean_inside(values, lengths):
    """The mean over what is no padding."""
    inside = jnp.arange(values.shape[1])[None] < lengths[:, None]
    return jnp.where(inside, values, 0).sum() / inside.sum()


@nnx.jit
def train_step(optimizer, letters, lengths, tags):
    def loss_fn(model):
        logits = model(letters, lengths)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, tags)
        return mean_inside(losses, lengths)

    loss, grads = nnx.value_and_grad(loss_fn)(optimizer.model)
    optimizer.update(grads)
    return loss


@nnx.jit
def accuracy(model, letters, lengths, tags):
    hits = model(letters, lengths).argmax(axis=-1) == tags
    return mean_inside(hits.astype(jnp.float32), lengths)


def main(config: Config):
    train, test = generate(8000, seed=0), generate(1000, seed=1)
    model = Model(config.width, rngs=nnx.Rngs(config.seed))
    steps = config.epochs * (len(train[0]) // config.batch_size)
    rate = optax.cosine_decay_schedule(config.learning_rate, steps)
    optimizer = nnx.Optimizer(model, optax.adam(rate))
    with nnx.train.Run(config.out, resume=config.resume, optimizer=optimizer) as run:
        for _ in run.epochs(config.epochs):
            for batch in run.batches(train, config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, *batch))
            run.record(test_accuracy=accuracy(model, *test))
    plot_curves(run.folder / "curves.png", run.history)
    print(f"test accuracy {accuracy(model, *test):.2%}")


if __name__ == "__main__":
    launch(main, Config)
