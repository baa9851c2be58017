"""Read handwritten digits with a residual network.

It ends at about 99% of the test images.
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oakum as nnx
from oakum.cli import launch, plot_curves, plot_mistakes


class Config(NamedTuple):
    epochs: int = 15  # Passes over the training images.
    batch_size: int = 64  # Images in a training step.
    learning_rate: float = 3e-3  # At first; falls to 0.
    width: int = 24  # Channels of the first stage; each later one has twice as many.
    seed: int = 0  # Decides the first weights, the order of the images, their shifts.
    out: str = "runs/resnet"  # Folder for the checkpoint and the pictures.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Block(nnx.Module):
    """He et al.: Identity Mappings in Deep Residual Networks, 2016."""

    def __init__(self, inputs: int, outputs: int, strides: int, *, rngs: nnx.Rngs):
        sizes = [(inputs, outputs, strides), (outputs, outputs, 1)]
        self.norms = [nnx.BatchNorm(i, momentum=0.9, rngs=rngs) for i, _, _ in sizes]
        self.convs = [
            nnx.Conv(i, o, (3, 3), strides=s, use_bias=False, rngs=rngs)
            for i, o, s in sizes
        ]
        self.shortcut = None
        if inputs != outputs:
            self.shortcut = nnx.Conv(inputs, outputs, (1, 1), strides, rngs=rngs)

    def __call__(self, x):  # (batch, height, width, channels)
        out = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(nnx.relu(norm(out)))
        return out + (x if self.shortcut is None else self.shortcut(x))


class Model(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs):
        widths = [width, width, 2 * width, 4 * width]
        self.stem = nnx.Conv(1, width, (3, 3), use_bias=False, rngs=rngs)
        self.blocks = [
            Block(i, o, 1 if i == o else 2, rngs=rngs) for i, o in pairwise(widths)
        ]
        self.norm = nnx.BatchNorm(widths[-1], momentum=0.9, rngs=rngs)
        self.head = nnx.Linear(widths[-1], 10, rngs=rngs)

    def __call__(self, images):  # (batch, 8, 8)
        x = self.stem(images[..., None] / 16)
        for block in self.blocks:
            x = block(x)
        x = nnx.relu(self.norm(x)).mean(axis=(1, 2))  # (batch, channels)
        return self.head(x)  # (batch, 10)


@nnx.jit
def train_step(optimizer, rngs, images, labels):
    moves = jax.random.choice(rngs(), jnp.array([-1, 0, 0, 0, 1]), (len(images), 2))
    images = jax.vmap(lambda image, move: jnp.roll(image, move, (0, 1)))(images, moves)

    def loss_fn(model):
        logits = model(images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    loss, grads = nnx.value_and_grad(loss_fn)(optimizer.model)
    optimizer.update(grads)
    return loss


@nnx.jit
def predict(model, images):
    return model(images).argmax(axis=-1)


def read_digits():
    x, y = load_digits().images.astype("float32"), load_digits().target
    return train_test_split(x, y, test_size=0.2, random_state=0)


def fit(make_model, make_rate, config):
    """Trains with data that are shifted at random, and shows what comes of it."""
    x, test_x, y, test_y = read_digits()
    rngs = nnx.Rngs(config.seed)
    model = make_model(rngs)
    rate = make_rate(config.epochs * (len(x) // config.batch_size))
    optimizer = nnx.Optimizer(model, optax.adamw(rate, weight_decay=1e-2))
    state = {"optimizer": optimizer, "rngs": rngs}
    with nnx.train.Run(config.out, resume=config.resume, **state) as run:
        for _ in run.epochs(config.epochs):
            model.train()
            for batch in run.batches((x, y), config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, rngs, *batch))
            model.eval()
            run.record(test_accuracy=(predict(model, test_x) == test_y).mean())
    guesses = predict(model, test_x)
    plot_curves(run.folder / "curves.png", run.history)
    plot_mistakes(run.folder / "mistakes.png", test_x, test_y, guesses)
    print(f"test accuracy {(guesses == test_y).mean():.2%}")


def main(config: Config):
    fit(
        lambda rngs: Model(config.width, rngs=rngs),
        lambda steps: optax.cosine_decay_schedule(config.learning_rate, steps),
        config,
    )


if __name__ == "__main__":
    launch(main, Config)
