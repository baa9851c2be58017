"""How long a loop waits for its batches, as a share of the step.

    python bench/data.py [--steps 60] [--write]

A step of a small convolutional network, of which `nnx.profile` tells how long it takes,
is fed from each kind of source: arrays, a loader, a generator, PyTorch's DataLoader and
a dataset of grain, where these are installed. All but the arrays take `WORK` of a step
for a batch of 64 images of 32 x 32 x 3, asleep as one that reads a disk is. They are
read one at a time (`ahead=0`) and two ahead, by a loop that looks at the loss of each
step, so that nothing but the thread of the run can draw while the step computes. What
is told is `run.input_wait`. `--write` puts the table into docs/data.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from typing import Any

import jax
import numpy as np
import optax
from marked_tables import put_table

import oakum as nnx

SIZE, SHAPE = 64, (32, 32, 3)
WORK = 0.5  # of a step, that a source takes for a batch
IMAGES = np.random.default_rng(0).random((20 * SIZE, *SHAPE), np.float32)
LABELS = np.arange(len(IMAGES), dtype=np.int32) % 10


class Network(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        sizes = [(3, 32), (32, 32), (32, 64)]
        self.convs = [nnx.Conv(i, o, (3, 3), strides=2, rngs=rngs) for i, o in sizes]
        self.head = nnx.Linear(4 * 4 * 64, 10, rngs=rngs)

    def __call__(self, x):  # (batch, 32, 32, 3)
        for conv in self.convs:
            x = nnx.relu(conv(x))
        return self.head(x.reshape(len(x), -1))  # (batch, 10)


@nnx.jit
def step(model, optimizer, images, labels):
    def loss_fn(model):
        logits = model(images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


def make() -> tuple[Network, nnx.Optimizer]:
    model = Network(rngs=nnx.Rngs(0))
    return model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


def batch_of(number: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """What takes a source its time."""
    time.sleep(seconds)
    rows = (number * SIZE + np.arange(SIZE)) % len(IMAGES)
    return IMAGES[rows], LABELS[rows]


class Loader:
    def __init__(self, steps: int, seconds: float):
        self.steps, self.seconds = steps, seconds

    def __iter__(self):
        return (batch_of(number, self.seconds) for number in range(self.steps))


def torch_loader(steps: int, seconds: float) -> Any:
    import torch  # type: ignore[import-not-found]

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return steps

        def __getitem__(self, number):
            return batch_of(number, seconds)

    return torch.utils.data.DataLoader(Images(), batch_size=None)


def grain_dataset(steps: int, seconds: float) -> Any:
    import grain  # type: ignore[import-not-found]

    numbers = grain.MapDataset.range(steps)
    options = grain.ReadOptions(num_threads=0)
    return numbers.map(lambda n: batch_of(n, seconds)).to_iter_dataset(options)


SOURCES = {
    "arrays": ("", lambda steps, seconds: (IMAGES, LABELS)),
    "a loader": ("", Loader),
    "a generator": ("", lambda *args: iter(Loader(*args))),
    "`torch.utils.data.DataLoader`": ("torch", torch_loader),
    "`grain.MapDataset`": ("grain", grain_dataset),
}


def waited(kind: str, ahead: int, steps: int, seconds: float) -> float:
    """The share of the time that the loop waits."""
    model, optimizer = make()
    step(model, optimizer, *batch_of(0, 0.0))
    data = SOURCES[kind][1](steps, seconds)
    options = {"size": SIZE, "seed": 0} if kind == "arrays" else {}
    with tempfile.TemporaryDirectory() as folder, nnx.train.Run(folder) as run:
        place = {"sharding": jax.devices()[0], "ahead": ahead}
        for batch in run.steps(steps, data, **options, **place):
            float(step(model, optimizer, *batch))
        return run.input_wait


def measure(steps: int) -> list[str]:
    first = batch_of(0, 0.0)
    found = nnx.profile(step, *make(), *first, calls=steps)
    seconds = found.host + found.device
    lines = [
        "| source | asked for one at a time | two ahead |",
        "|---|---|---|",
    ]
    for kind, (package, _) in SOURCES.items():
        if package and importlib.util.find_spec(package) is None:
            continue
        shares = [
            statistics.median(
                waited(kind, ahead, steps, WORK * seconds) for _ in range(3)
            )
            for ahead in (0, 2)
        ]
        lines.append(f"| {kind} | {shares[0]:.1%} | {shares[1]:.1%} |")
        print(lines[-1], flush=True)
    lines.insert(0, f"A step takes {1e3 * seconds:.1f} ms (`nnx.profile`):\n")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How long a loop waits for its batches."
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = measure(options.steps)
    print("\n".join(lines))
    if options.write:
        put_table("docs/data.md", __file__, lines)


if __name__ == "__main__":
    main()
