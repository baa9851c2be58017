"""Read handwritten digits with a vision transformer.

It ends at about 97% of the test images.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oakum as nnx
from oakum.cli import launch, plot_curves, plot_mistakes


class Config(NamedTuple):
    epochs: int = 40  # Passes over the training images.
    batch_size: int = 64  # Images in a training step.
    learning_rate: float = 3e-3  # At its highest, after a tenth of the steps.
    width: int = 64  # Features of a patch.
    layers: int = 3  # Blocks of attention and MLP.
    seed: int = 0  # Decides the weights, the order of the images, shifts and dropout.
    out: str = "runs/vit"  # Folder for the checkpoint and the pictures.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Block(nnx.Module):
    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.norms = [nnx.LayerNorm(width, rngs=rngs) for _ in range(2)]
        self.attention = nnx.MultiHeadAttention(4, width, rngs=rngs)
        self.mlp = nnx.Sequential(
            nnx.Linear(width, 2 * width, rngs=rngs),
            nnx.gelu,
            nnx.Linear(2 * width, width, rngs=rngs),
            nnx.Dropout(0.1, rngs=rngs),
        )

    def __call__(self, x):  # (batch, patches, width)
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Model(nnx.Module):
    """Dosovitskiy et al.: An Image is Worth 16x16 Words, 2020; its words are 2x2."""

    def __init__(self, width: int, layers: int, *, rngs: nnx.Rngs):
        self.patches = nnx.Conv(1, width, (2, 2), strides=2, rngs=rngs)
        init = nnx.initializers.normal(0.02)
        self.positions = nnx.Param(init(rngs.params(), (1, 16, width)))
        self.blocks = [Block(width, rngs=rngs) for _ in range(layers)]
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, 10, rngs=rngs)

    def __call__(self, images):  # (batch, 8, 8)
        x = self.patches(images[..., None] / 16)  # (batch, 4, 4, width)
        x = x.reshape(len(x), 16, -1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(axis=1))  # (batch, 10)


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


def main(config: Config):
    x, y = load_digits().images.astype("float32"), load_digits().target
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.2, random_state=0)
    rngs = nnx.Rngs(config.seed)
    model = Model(config.width, config.layers, rngs=rngs)
    steps = config.epochs * (len(x) // config.batch_size)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, steps // 10, steps
    )
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


if __name__ == "__main__":
    launch(main, Config)
