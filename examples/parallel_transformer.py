"""Train a transformer over a mesh of devices, on the source of the standard library.

The mesh has the axes data, fsdp and tensor: the batch is split over data and fsdp, the
parameters over fsdp, the heads of attention and the width of the MLP over tensor. One
device will do, and the losses are the same. In two processes of four pretended devices:

    oakum launch -n 2 --devices 4 -- train parallel_transformer --fsdp 2 --tensor 2

A run goes on with --resume, on any number of devices and processes.
"""

from typing import NamedTuple

import jax
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from transformer import FILES, LENGTH, bits_per_char, read_library

import oakum as nnx
from oakum.cli import launch

RULES = {
    "query.kernel": ("fsdp", "tensor", None),  # (width, heads, head_dim)
    "key.kernel": ("fsdp", "tensor", None),
    "value.kernel": ("fsdp", "tensor", None),
    "out.kernel": ("tensor", None, "fsdp"),
    "up.kernel": ("fsdp", "tensor"),
    "down.kernel": ("tensor", "fsdp"),
    "embed.embedding": (None, "fsdp"),
}
ROWS = P(("data", "fsdp"))


class Config(NamedTuple):
    steps: int = 200  # Steps of training.
    batch_size: int = 16  # Pieces of text in a step, over all devices.
    learning_rate: float = 3e-3  # Of Adam.
    width: int = 128  # Features of a character.
    heads: int = 4  # Of attention.
    layers: int = 2  # Blocks of attention and MLP.
    fsdp: int = 1  # Devices that share the parameters.
    tensor: int = 1  # Devices that share each layer; the rest go to the batch.
    seed: int = 0  # Decides the first weights and the order of the pieces.
    out: str = "runs/parallel_transformer"  # Folder for the checkpoint and the history.
    resume: bool = False  # Go on from the checkpoint in that folder.


class Block(nnx.Module):
    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.norms = [nnx.RMSNorm(width, rngs=rngs) for _ in range(2)]
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.up = nnx.Linear(width, 4 * width, rngs=rngs)
        self.down = nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x):  # (batch, seq, width)
        mask = nnx.make_causal_mask(x[..., 0])
        x = x + self.attention(self.norms[0](x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.norms[1](x))))


class Model(nnx.Module):
    def __init__(self, width: int, heads: int, layers: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(0.02)
        self.embed = nnx.Embed(128, width, embedding_init=init, rngs=rngs)
        self.places = nnx.Param(init(rngs.params(), (LENGTH, width)))
        self.blocks = [Block(width, heads, rngs=rngs) for _ in range(layers)]
        self.norm = nnx.RMSNorm(width, rngs=rngs)

    def __call__(self, codes):  # (batch, seq)
        x = self.embed(codes) + self.places[: codes.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.embed.attend(self.norm(x))  # (batch, seq, 128)


def make_mesh(fsdp: int, tensor: int):
    shape = (jax.device_count() // (fsdp * tensor), fsdp, tensor)
    names, types = ("data", "fsdp", "tensor"), (AxisType.Auto,) * 3
    return jax.make_mesh(shape, names, axis_types=types)


def make(config: Config):
    rngs = nnx.Rngs(config.seed)
    model = Model(config.width, config.heads, config.layers, rngs=rngs)
    tx = optax.adam(config.learning_rate)
    return model, nnx.Optimizer(model, tx, wrt=nnx.Param)


@nnx.jit
def train_step(model, optimizer, codes):
    loss, grads = nnx.value_and_grad(bits_per_char)(model, codes)
    optimizer.update(model, grads)
    return loss


def main(config: Config):
    mesh = make_mesh(config.fsdp, config.tensor)
    model, optimizer = nnx.init_sharded(lambda: make(config), mesh, RULES)
    if jax.process_index() == 0:
        print(mesh, nnx.layout((model, optimizer), mesh, RULES), sep="\n")
    text, _ = read_library(FILES, LENGTH + 1)
    rows = NamedSharding(mesh, ROWS)
    state = {"model": model, "optimizer": optimizer}
    with nnx.train.Run(config.out, resume=config.resume, **state) as run:
        batches = [text], config.batch_size, config.seed
        for (batch,) in run.steps(config.steps, *batches, sharding=rows):
            run.log(loss=train_step(model, optimizer, batch))
            if run.every(50):
                run.record()


if __name__ == "__main__":
    launch(main, Config)
