"""Read handwritten digits with a vision transformer.

It ends at about 97% of the test images.
"""

from typing import NamedTuple

import optax
import resnet

import oakum as nnx
from oakum.cli import launch


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


def main(config: Config):
    resnet.fit(
        lambda rngs: Model(config.width, config.layers, rngs=rngs),
        lambda steps: optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, steps // 10, steps
        ),
        config,
    )


if __name__ == "__main__":
    launch(main, Config)
