"""Draw handwritten digits with a variational autoencoder.

It ends at a bound of 24.8 nats for a test image.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oakum as nnx
from oakum.cli import launch, plot_curves

SHADES = np.array(list(" .:-=+*#%@"))


class Config(NamedTuple):
    epochs: int = 40  # Passes over the training images.
    batch_size: int = 64  # Images in a training step.
    learning_rate: float = 2e-3  # At first; falls to 0.
    latents: int = 8  # Numbers that describe an image.
    seed: int = 0  # Decides the first weights, the order of the images, the draws.
    out: str = "runs/vae"  # Folder for the checkpoint and the learning curves.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Model(nnx.Module):
    """Kingma, Welling: Auto-Encoding Variational Bayes, 2013."""

    def __init__(self, latents: int, *, rngs: nnx.Rngs):
        def mlp(inputs: int, outputs: int):
            return nnx.Sequential(
                nnx.Linear(inputs, 256, rngs=rngs),
                nnx.gelu,
                nnx.Linear(256, outputs, rngs=rngs),
            )

        self.encoder = mlp(64, 2 * latents)
        self.decoder = mlp(latents, 64)
        self.noise = rngs.noise.fork()

    def __call__(self, images):  # (batch, 64)
        mean, log_std = jnp.split(self.encoder(images), 2, axis=-1)
        noise = jax.random.normal(self.noise(), mean.shape)
        logits = self.decoder(mean + jnp.exp(log_std) * noise)
        return logits, mean, log_std


@nnx.jit
def negative_elbo(model, images):
    """An upper bound of the nats that an image takes."""
    logits, mean, log_std = model(images)
    pixels = optax.sigmoid_binary_cross_entropy(logits, images).sum(axis=-1)
    kl = (jnp.exp(2 * log_std) + mean**2 - 1) / 2 - log_std
    return (pixels + kl.sum(axis=-1)).mean()


@nnx.jit
def train_step(optimizer, images):
    loss, grads = nnx.value_and_grad(negative_elbo)(optimizer.model, images)
    optimizer.update(grads)
    return loss


def draw(model, count: int, rngs: nnx.Rngs) -> str:
    """New digits beside each other, in characters."""
    latents = jax.random.normal(rngs(), (count, model.decoder.layers[0].in_features))
    images = nnx.sigmoid(model.decoder(latents)).reshape(count, 8, 8)
    shades = SHADES[np.asarray(images * 9.99).astype(int)]
    lines = shades.swapaxes(0, 1)  # (row, digit, column)
    return "\n".join("  ".join(map("".join, line)) for line in lines)


def main(config: Config):
    images = load_digits().data.astype("float32") / 16
    train, test = train_test_split(images, test_size=0.2, random_state=0)
    rngs = nnx.Rngs(config.seed)
    model = Model(config.latents, rngs=rngs)
    steps = config.epochs * (len(train) // config.batch_size)
    rate = optax.cosine_decay_schedule(config.learning_rate, steps)
    optimizer = nnx.Optimizer(model, optax.adam(rate))
    with nnx.train.Run(config.out, resume=config.resume, optimizer=optimizer) as run:
        for _ in run.epochs(config.epochs):
            for (batch,) in run.batches([train], config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, batch))
            run.record(test_loss=negative_elbo(model, test))
    plot_curves(run.folder / "curves.png", run.history)
    print(draw(model, 8, rngs))


if __name__ == "__main__":
    launch(main, Config)
