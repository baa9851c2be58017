"""What checkpoints cost, and onto what they load: `Checkpoints` and `nnx.save`.

    python bench/checkpoints.py [--megabytes 400] [--rounds 3] [--only PART] [--write]

Needs orbax. The first table is of a model with Adam of so many MB, split over 8 devices
that the CPU pretends, each measured in a process of its own: seconds of a save until it
is on the disk and until the program may go on, seconds of a load, the peak of resident
memory above what the process had before, and what lies on the disk. Beside it orbax by
hand, `CheckpointManager` with `PyTreeSave` and `PyTreeRestore` of the same arrays. The
rounds are interleaved; a ratio is the median of the ratios of the rounds.

The second table is of a small model, saved by one process and by two, on 1, 2 and 8
devices, and loaded by each: it tells where all values and their places were right.
`--write` puts both, or the part that `--only` names, into docs/folders.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from marked_tables import put_table

WAYS = {
    "by hand": "orbax by hand",
    "Checkpoints": "`nnx.train.Checkpoints`",
    "file": "`nnx.save`, `nnx.load`",
}
PLACES = {  # processes and devices of each
    "1 process, 1 device": (1, 1),
    "1 process, 2 devices": (1, 2),
    "1 process, 8 devices": (1, 8),
    "2 processes, 1 device each": (2, 1),
    "2 processes, 4 devices each": (2, 4),
}


def make(megabytes: float, seed: int) -> tuple[Any, Any]:
    """A model of 8 kernels and Adam's slots, split over all devices."""
    import jax
    import optax

    import oakum as nnx

    width = int((megabytes * 1e6 / 4 / 3 / 8) ** 0.5) // 16 * 16

    def build() -> tuple[Any, Any]:
        rngs = nnx.Rngs(seed)
        model = nnx.List([nnx.Linear(width, width, rngs=rngs) for _ in range(8)])
        optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
        slots = nnx.state(optimizer, nnx.OptState)  # zeros would take no room
        full = [rngs.normal(x.shape) if x.ndim else x for x in jax.tree.leaves(slots)]
        nnx.update(optimizer, jax.tree.unflatten(jax.tree.structure(slots), full))
        return model, optimizer

    mesh = jax.make_mesh(
        (jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
    )
    return nnx.init_sharded(build, mesh, nnx.fsdp("data", min_size=1))


class Peak:
    """The highest resident memory meanwhile, in MB above that at the beginning."""

    def __enter__(self) -> Peak:
        import psutil

        self._process, self._done, self.megabytes = psutil.Process(), False, 0.0
        self._first = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done:
            above = (self._process.memory_info().rss - self._first) / 1e6
            self.megabytes = max(self.megabytes, above)
            time.sleep(0.002)

    def __exit__(self, *error: object) -> None:
        self._done = True
        self._thread.join()


def save(way: str, folder: Path, model: Any, optimizer: Any) -> float:
    """Saves; returns when it is on the disk, with the seconds until it went on."""
    import jax

    import oakum as nnx

    began = time.perf_counter()
    if way == "file":
        nnx.save(folder / "file", model=model, optimizer=optimizer)
        return time.perf_counter() - began
    if way == "Checkpoints":
        with nnx.train.Checkpoints(folder / "steps") as checkpoints:
            checkpoints.save(1, model=model, optimizer=optimizer)
            return time.perf_counter() - began
    import orbax.checkpoint as ocp

    tree = jax.tree.map(
        lambda x: x, nnx.to_pure_dict(nnx.state(nnx.List([model, optimizer])))
    )
    with ocp.CheckpointManager(folder / "hand") as manager:
        manager.save(1, args=ocp.args.PyTreeSave(tree))
        return time.perf_counter() - began


def load(way: str, folder: Path, model: Any, optimizer: Any) -> None:
    """Loads into objects of the same places."""
    import jax

    import oakum as nnx

    if way == "file":
        nnx.load(folder / "file", model=model, optimizer=optimizer)
    elif way == "Checkpoints":
        with nnx.train.Checkpoints(folder / "steps") as checkpoints:
            checkpoints.load(model=model, optimizer=optimizer)
    else:
        import orbax.checkpoint as ocp

        tree = nnx.to_pure_dict(nnx.state(nnx.List([model, optimizer])))
        args = jax.tree.map(lambda x: ocp.ArrayRestoreArgs(sharding=x.sharding), tree)
        with ocp.CheckpointManager(folder / "hand") as manager:
            restore = ocp.args.PyTreeRestore(tree, restore_args=args)
            found = manager.restore(1, args=restore)
            jax.block_until_ready(found)


def measure_one(way: str, task: str, folder: Path, megabytes: float) -> dict:
    """One save or load, in this process."""
    model, optimizer = make(megabytes, seed=0)
    small = Path(tempfile.mkdtemp())
    # Imports, and what else happens once, are not what is measured.
    once = make(0.1, seed=0)
    save(way, small, *once)
    load(way, small, *once)
    shutil.rmtree(small)
    found = {}
    with Peak() as peak:
        began = time.perf_counter()
        if task == "save":
            found["goes on"] = save(way, folder, model, optimizer)
        else:
            load(way, folder, model, optimizer)
        found["seconds"] = time.perf_counter() - began
    return found | {"peak": peak.megabytes}


def start(args: list[str], processes: int, devices: int) -> list[str]:
    """Runs this file in so many processes; what each printed last."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for number in range(processes):
        place = [f"127.0.0.1:{port}", str(processes), str(number)]
        command = [sys.executable, __file__, "--worker", *place, *args]
        children.append(subprocess.Popen(command, env=env, stdout=-1, text=True))
    lines = [child.communicate()[0].splitlines() for child in children]
    if any(child.returncode for child in children):
        raise SystemExit(f"{args} failed")
    return [line[-1] for line in lines]


def work(address: str, count: str, number: str, task: str, *args: str) -> None:
    """What a process of `start` does."""
    import jax

    if int(count) > 1:
        jax.distributed.initialize(address, int(count), int(number))
    if task in ("save", "load"):
        way, folder, megabytes = args
        print(json.dumps(measure_one(way, task, Path(folder), float(megabytes))))
        return
    folder, saved = Path(args[0]), args[1:]
    if task == "put":
        for way in ("Checkpoints", "file"):
            save(way, folder, *make(0.1, seed=1))
        print("put")
        return
    ways = ("Checkpoints", "file")
    pair = make(0.1, seed=0), make(0.1, seed=1)
    found = [all(is_right(w, folder / place, *pair) for w in ways) for place in saved]
    print(json.dumps(["right" if right else "wrong" for right in found]))


def is_right(way: str, folder: Path, empty: Any, expected: Any) -> bool:
    """Whether a load gives all values, where the objects' arrays lie."""
    import jax

    import oakum as nnx

    new = nnx.clone(empty)  # made once: that compiles
    load(way, folder, *new)
    leaves = zip(*map(jax.tree.leaves, map(nnx.state, (new, expected))), strict=True)
    same = jax.jit(lambda a, b: (a == b).all())
    return all(bool(same(a, b)) and a.sharding == b.sharding for a, b in leaves)


def costs(megabytes: float, rounds: int) -> list[str]:
    rows: dict[str, list[dict]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in list(WAYS) if number % 2 else list(WAYS)[::-1]:
            with tempfile.TemporaryDirectory() as folder:
                args = [way, folder, str(megabytes)]
                saved = json.loads(start(["save", *args], 1, 8)[0])
                files = [f for f in Path(folder).rglob("*") if f.is_file()]
                size = sum(f.stat().st_size for f in files) / 1e6
                loaded = json.loads(start(["load", *args], 1, 8)[0])
            keys = {f"load {key}": value for key, value in loaded.items()}
            rows[way].append(saved | keys | {"size": size})
            print(number, way, rows[way][-1], flush=True)
    lines = [
        f"What {megabytes:.0f} MB on 8 devices cost, medians of {rounds} rounds, with "
        "orbax by hand beside it:",
        "",
        "| | save | ratio | goes on after | peak | load | ratio | peak | on disk |",
        "|---|---|---|---|---|---|---|---|---|",
    ]

    def median(way: str, key: str) -> float:
        return statistics.median(row[key] for row in rows[way])

    def ratio(way: str, key: str) -> float:
        pairs = zip(rows[way], rows["by hand"], strict=True)
        return statistics.median(a[key] / b[key] for a, b in pairs)

    for way, name in WAYS.items():
        cells = [
            f"{median(way, 'seconds'):.2f} s",
            f"{ratio(way, 'seconds'):.2f}",
            f"{median(way, 'goes on'):.2f} s",
            f"{median(way, 'peak'):.0f} MB",
            f"{median(way, 'load seconds'):.2f} s",
            f"{ratio(way, 'load seconds'):.2f}",
            f"{median(way, 'load peak'):.0f} MB",
            f"{median(way, 'size'):.0f} MB",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def restores() -> list[str]:
    names = list(PLACES)
    lines = [
        "Each model is loaded by every number of processes and devices, and all values "
        "and places compared:",
        "",
        f"| saved by | loaded by {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, place in PLACES.items():
            (Path(folder) / name).mkdir()
            start(["put", str(Path(folder) / name)], *place)
            print("saved by", name, flush=True)
        columns = []
        for place in PLACES.values():
            said = map(json.loads, start(["check", folder, *names], *place))
            columns.append(
                ["/".join(sorted(set(one))) for one in zip(*said, strict=True)]
            )
            print(place, columns[-1], flush=True)
    for row, name in enumerate(names):
        lines.append(f"| {name} | {' | '.join(column[row] for column in columns)} |")
    return lines


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="What checkpoints cost.")
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["restores", "costs"])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for part in [options.only] if options.only else ["restores", "costs"]:
        if part == "restores":
            lines = restores()
        else:
            lines = costs(options.megabytes, options.rounds)
        print("\n".join(lines))
        if options.write:
            put_table("docs/folders.md", f"checkpoints.py {part}", lines)


if __name__ == "__main__":
    main()
