"""What a model takes on each of 8 devices, by the way in which it is put there.

    python bench/devices.py [--megabytes 400] [--rounds 3] [--write]

The CPU pretends the devices, so that the resident memory of the process is that of all
of them together, XLA's own room included. A model of so many MB and Adam's slots, three
times that in all, is made in each way, in a process of its own: MB that each device has
at the end, the most that one of them held in arrays meanwhile (looked at every 2 ms),
and the peak of resident memory above that before; printed are the seconds too. The last
row is of three steps of training with a batch that is split over the devices: its
resident memory is what the steps take above the state, which they overwrite.

Medians of the rounds. `--write` puts the table into docs/sharding.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from checkpoints import Peak
from marked_tables import put_table

DEVICES, LAYERS = 8, 8


class Most:
    """The most bytes that one device holds in live arrays meanwhile."""

    def __enter__(self) -> Most:
        self.bytes, self._done = 0, False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done:
            self.bytes = max(self.bytes, max(held().values(), default=0))
            time.sleep(0.002)

    def __exit__(self, *error: object) -> None:
        self._done = True
        self._thread.join()


def held() -> Counter[Any]:
    """Bytes of live arrays on each device."""
    import jax

    found: Counter[Any] = Counter()
    for array in jax.live_arrays():
        if array.is_deleted() or not hasattr(array.dtype, "itemsize"):
            continue
        # Not of `addressable_shards`: the data of these are live arrays too.
        part = array.sharding.shard_shape(array.shape)
        for device in array.sharding.device_set:
            found[device] += math.prod(part) * array.dtype.itemsize
    return found


def pieces(megabytes: float) -> tuple[Any, Any, Callable[[], Any], Callable[..., Any]]:
    """A mesh, and what makes a model and its optimizer."""
    import jax
    import optax

    import oakum as nnx

    width = int((megabytes * 1e6 / 4 / LAYERS) ** 0.5) // 64 * 64
    mesh = jax.make_mesh(
        (DEVICES,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
    )

    def make_model() -> Any:
        rngs = nnx.Rngs(0)
        return nnx.Sequential(
            *[nnx.Linear(width, width, rngs=rngs) for _ in range(LAYERS)]
        )

    def make_optimizer(model: Any) -> Any:
        return nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    return mesh, nnx.fsdp("data", min_size=1), make_model, make_optimizer


def build(way: str, megabytes: float) -> Any:
    """The model and its optimizer, spread over the devices in one way."""
    import oakum as nnx

    mesh, policy, make_model, make_optimizer = pieces(megabytes)

    def make() -> Any:
        model = make_model()
        return model, make_optimizer(model)

    if way == "init":
        return nnx.init_sharded(make, mesh, policy)
    if way == "outside":
        model = nnx.init_sharded(make_model, mesh, policy)
        return model, make_optimizer(model)
    if way == "jit":

        @nnx.jit
        def spread() -> Any:
            objects = make()
            nnx.shard(objects, mesh, policy)
            return objects

        return spread()
    objects = make()
    if way == "shard":
        nnx.shard(objects, mesh, policy)
    return objects


WAYS = {
    "one": "`make()`, on one device",
    "shard": "`make()`, then `nnx.shard`",
    "jit": "`nnx.shard` within `nnx.jit`",
    "outside": "`nnx.init_sharded` of the model, the optimizer after it",
    "init": "`nnx.init_sharded` of both",
}


def train(objects: Any) -> None:
    """Three steps, the first of which compiles."""
    import jax
    import jax.numpy as jnp

    import oakum as nnx

    @nnx.jit
    def step(model: Any, optimizer: Any, x: Any) -> Any:
        loss, grads = nnx.value_and_grad(lambda m: (m(x) ** 2).mean())(model)
        optimizer.update(model, grads)
        return loss

    model, optimizer = objects
    kernel = model.layers[0].kernel.value
    x = jnp.ones((64, kernel.shape[0]))
    mesh = kernel.sharding.mesh
    x = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
    for _ in range(3):
        step(model, optimizer, x).block_until_ready()


def measure(way: str, megabytes: float) -> dict[str, float]:
    """One way, in this process."""
    import jax

    objects: Any = build("init", megabytes) if way == "train" else None
    build("init" if way == "train" else way, 1.0)  # what happens once
    with Peak() as peak, Most() as most:
        began = time.perf_counter()
        if way == "train":
            train(objects)
        else:
            objects = build(way, megabytes)
            jax.block_until_ready(jax.tree.leaves(objects))
        seconds = time.perf_counter() - began
    end = held()
    return {
        "end": max(end.values()) / 1e6,
        "most": most.bytes / 1e6,
        "peak": peak.megabytes,
        "seconds": seconds,
    }


def measured(way: str, megabytes: float) -> dict[str, float]:
    """One way, in a process of its own."""
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--worker", way, str(megabytes)]
    ran = subprocess.run(command, env=env, stdout=-1, text=True, check=True)
    print(way, ran.stdout.splitlines()[-1], flush=True)
    return json.loads(ran.stdout.splitlines()[-1])


def table(megabytes: float, rounds: int) -> list[str]:
    names = WAYS | {"train": "three steps of training"}
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in names}
    for _ in range(rounds):
        for way in names:
            rows[way].append(measured(way, megabytes))
    lines = [
        "| | a device at the end | the most meanwhile | resident, all devices |",
        "|---|---|---|---|",
    ]
    for way, name in names.items():
        middle = {k: statistics.median(r[k] for r in rows[way]) for k in rows[way][0]}
        peak = f"{'+' * (way == 'train')}{middle['peak']:.0f} MB"
        cells = [f"{middle['end']:.0f} MB", f"{middle['most']:.0f} MB", peak]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(sys.argv[2], float(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description="What a model takes on each device.")
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = table(options.megabytes, options.rounds)
    print("\n".join(lines))
    if options.write:
        put_table("docs/sharding.md", __file__, lines)


if __name__ == "__main__":
    main()
