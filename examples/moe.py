"""Fit many linear maps at once with a mixture of experts.

It ends with 1.2% of the variance left to explain.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

import oakum as nnx
from oakum.cli import launch, plot_curves

INPUTS, MAPS = 16, 8


class Config(NamedTuple):
    epochs: int = 20  # Passes over the training rows.
    batch_size: int = 256  # Rows in a training step.
    learning_rate: float = 1e-2  # At first; falls to 0.
    experts: int = 8  # Networks of which each row takes one.
    seed: int = 0  # Decides the first weights and the order of the rows.
    out: str = "runs/moe"  # Folder for the checkpoint and the learning curves.
    resume: bool = False  # Go on from the checkpoint in that folder.


def make_expert(rngs: nnx.Rngs):
    return nnx.Sequential(
        nnx.Linear(INPUTS, 32, rngs=rngs), nnx.gelu, nnx.Linear(32, INPUTS, rngs=rngs)
    )


class Model(nnx.Module):
    """Fedus, Zoph, Shazeer: Switch Transformers, 2021: each row takes one expert.

    An expert has room for twice its share of the rows; what finds none gives 0.
    """

    def __init__(self, experts: int, *, rngs: nnx.Rngs):
        self.router = nnx.Linear(INPUTS, experts, rngs=rngs)
        self.experts = nnx.vmap(make_expert)(rngs.fork(split=experts))

    def __call__(self, x):  # (rows, INPUTS)
        probs = nnx.softmax(self.router(x))  # (rows, experts)
        rows, experts = probs.shape
        chosen = nnx.one_hot(probs.argmax(axis=-1), experts)
        place = (chosen.cumsum(axis=0) * chosen).astype(int) - 1
        # 0 in all slots of an expert that was not chosen (-1), or has no room left.
        send = nnx.one_hot(place, 2 * rows // experts)  # (rows, experts, slots)
        sent = jnp.einsum("res,ri->esi", send, x)
        out = nnx.vmap(lambda expert, x: expert(x))(self.experts, sent)
        out = jnp.einsum("res,re,esi->ri", send, probs, out)
        # 1 where all experts are chosen alike, and more where they are not.
        return out, experts * (chosen.mean(axis=0) * probs.mean(axis=0)).sum()


def generate(count: int, seed: int):
    """Rows around a few centres, and the linear map of its centre applied to each."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(MAPS, INPUTS))
    maps = rng.normal(size=(MAPS, INPUTS, INPUTS)) / np.sqrt(INPUTS)
    rng = np.random.default_rng(seed)
    which = rng.integers(0, MAPS, count)
    x = centres[which] + rng.normal(size=(count, INPUTS)) / 2
    y = np.einsum("ri,rio->ro", x, maps[which])
    return x.astype(np.float32), y.astype(np.float32)


@nnx.jit
def train_step(optimizer, x, y):
    def loss_fn(model):
        out, balance = model(x)
        error = jnp.mean((out - y) ** 2)
        return error + 0.01 * balance, error

    grads, error = nnx.grad(loss_fn, has_aux=True)(optimizer.model)
    optimizer.update(grads)
    return error


@nnx.jit
def evaluate(model, x, y):
    """The mean squared error, as a part of what there is to explain."""
    return jnp.mean((model(x)[0] - y) ** 2) / y.var()


def main(config: Config):
    train, test = generate(16384, seed=1), generate(2048, seed=2)
    model = Model(config.experts, rngs=nnx.Rngs(config.seed))
    steps = config.epochs * (len(train[0]) // config.batch_size)
    rate = optax.cosine_decay_schedule(config.learning_rate, steps)
    optimizer = nnx.Optimizer(model, optax.adam(rate))
    with nnx.train.Run(config.out, resume=config.resume, optimizer=optimizer) as run:
        for _ in run.epochs(config.epochs):
            for batch in run.batches(train, config.batch_size, config.seed):
                run.log(loss=train_step(optimizer, *batch))
            run.record(test_error=evaluate(model, *test))
    plot_curves(run.folder / "curves.png", run.history)
    print(f"unexplained variance {evaluate(model, *test):.2%}")


if __name__ == "__main__":
    launch(main, Config)
