"""Read handwritten digits with a small convolutional network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oakum as nnx
from oakum.cli import launch, plot_mistakes


class Config(NamedTuple):
    epochs: int = 25  # Passes over the training images.
    batch_size: int = 64  # Images in a training step.
    learning_rate: float = 3e-3  # In the first epoch; each later epoch has 13% less.
    seed: int = 0  # Decides the first weights, the order of the images, the dropout.
    out: str = "runs/digits"  # Folder for the checkpoint and the pictures.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Network(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        sizes = [(1, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 2)]
        self.convs = [nnx.Conv(i, o, (3, 3), strides=s, rngs=rngs) for i, o, s in sizes]
        self.norms = [nnx.BatchNorm(o, momentum=0.9, rngs=rngs) for _, o, _ in sizes]
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.head = nnx.Linear(2 * 2 * 64, 10, rngs=rngs)

    def __call__(self, images):  # (batch, 8, 8)
        x = images[..., None] / 16
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = nnx.relu(norm(conv(x)))
        return self.head(self.dropout(x.reshape(len(x), -1)))  # (batch, 10)


@nnx.jit
def train_step(model, optimizer, rngs, images, labels):
    moves = jax.random.choice(rngs(), jnp.array([-1, 0, 0, 0, 1]), (len(images), 2))
    images = jax.vmap(lambda image, move: jnp.roll(image, move, (0, 1)))(images, moves)

    def loss_fn(model):
        logits = model(images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), (logits.argmax(axis=-1) == labels).mean()

    (loss, accuracy), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model)
    optimizer.update(model, grads)
    return {"loss": loss, "accuracy": accuracy}


def main(config: Config):
    x, y = load_digits().images.astype("float32"), load_digits().target
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.2, random_state=0)
    rngs = nnx.Rngs(config.seed)
    model = Network(rngs=rngs)
    steps = len(x) // config.batch_size
    rate = optax.exponential_decay(config.learning_rate, steps, 0.87)
    optimizer = nnx.Optimizer(model, optax.adamw(rate), wrt=nnx.Param)
    probs = nnx.jit(lambda model, images: nnx.softmax(model(images)))
    state = {"model": model, "optimizer": optimizer, "rngs": rngs}
    with nnx.train.Run(config.out, resume=config.resume, **state) as run:
        for _ in run.epochs(config.epochs):
            model.train()
            for batch in run.batches((x, y), config.batch_size, config.seed):
                run.log(**train_step(model, optimizer, rngs, *batch))
            model.eval()
            run.record(test_accuracy=(probs(model, test_x).argmax(-1) == test_y).mean())
    model.eval()
    guesses, sure = (shares := probs(model, test_x)).argmax(-1), shares.max(-1)
    run.plot()
    plot_mistakes(run.folder / "mistakes.png", test_x, test_y, guesses, sure)
    print(f"test accuracy {(guesses == test_y).mean():.2%}")


if __name__ == "__main__":
    launch(main, Config)
