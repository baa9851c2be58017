"""One train step of four small models in oakum and in other frameworks.

    python bench/frameworks.py [--rounds 30] [--only NAME,...] [--docs]

Each framework runs in a process of its own, and the rounds are interleaved over them,
so that a ratio holds where the machine drifts. Processor time of all threads of a step,
the lower decile of the rounds, in which each makes the same number of steps. The models
are the same where the number of their parameters is, which is checked. PyTorch has one
thread and its fused Adam. Needs torch, keras and flax.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
FRAMEWORKS = {
    "oakum": ("nnx", {}),
    "Linen, donated": ("linen", {}),
    "flax.nnx": ("nnx", {"library": "flax.nnx"}),
    "Keras 3 on JAX": ("keras3", {}),
    "PyTorch": ("pytorch", {}),
    "torch.compile": ("pytorch", {"compiled": True}),
}
MARKS = "<!-- frameworks -->", "<!-- /frameworks -->"


def serve(framework: str, name: str) -> None:
    """Make so many steps as each line of the input says; print what a step took."""
    file, options = FRAMEWORKS[framework]
    sys.path.insert(0, str(Path(__file__).parent))
    step, count = importlib.import_module(f"models.{file}").train(name, **options)
    first = time.perf_counter()
    float(step())
    print(count, time.perf_counter() - first, flush=True)
    for line in sys.stdin:
        steps, before = int(line), time.process_time()
        for _ in range(steps):
            loss = step()
        float(loss)
        print((time.process_time() - before) / steps, flush=True)


class Worker:
    """One framework with one model, in a process of its own."""

    def __init__(self, framework: str, name: str):
        command = [sys.executable, __file__, "--serve", framework, name]
        self.framework = framework
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.times: list[float] = []

    def answer(self) -> list[float]:
        """The next line that it prints, as numbers."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.framework} ended with {self.process.wait()}")
        return [float(word) for word in line.split()]

    def run(self, steps: int) -> float:
        """The seconds of processor time of each of so many steps."""
        print(steps, file=self.process.stdin, flush=True)
        return self.answer()[0]


def measure(name: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Of each framework, the seconds of a step and those up to the first loss."""
    workers, started = [], []
    for framework in FRAMEWORKS:  # one after the other: the first step is timed too
        workers.append(Worker(framework, name))
        started.append(workers[-1].answer())
    counts = {w.framework: int(s[0]) for w, s in zip(workers, started, strict=True)}
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"{name}: the numbers of parameters differ: {counts}")
    for worker in workers:
        worker.run(20)
    for turn in range(rounds):
        for worker in workers if turn % 2 else reversed(workers):
            worker.times.append(worker.run(20))
    for worker in workers:
        worker.process.stdin.close()
        worker.process.wait()
    return {
        worker.framework: (sorted(worker.times)[rounds // 10], start[1])
        for worker, start in zip(workers, started, strict=True)
    }


def table(rows: dict[str, dict[str, tuple[float, float]]]) -> str:
    """The rows as a table in markdown: microseconds, and ratios to oakum."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("jax", "flax", "keras", "torch")
    )
    lines = [
        f"| train step, µs | {' | '.join(FRAMEWORKS)} |",
        f"|---|{'---|' * len(FRAMEWORKS)}",
    ]
    for name, row in rows.items():
        ours = row["oakum"][0]
        cells = [f"{t * 1e6:,.0f} ({t / ours:.1f})" for t, _ in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", lines[0].replace("train step, µs", "first step, s"), lines[1]]
    for name, row in rows.items():
        cells = [f"{first:.1f}" for _, first in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "In brackets the ratio to oakum. The first step is by the clock, from a made",
        "model to the first loss. PyTorch has its fused Adam and one thread. Python",
        f"{platform.python_version()}, {versions}, CPU.",
        "Written by `python bench/frameworks.py --docs`.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page where `--docs` says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(*args.serve)
    sys.path.insert(0, str(Path(__file__).parent))
    rows = {}
    for name in importlib.import_module("models").NAMES:
        if not args.only or any(part in name for part in args.only.split(",")):
            rows[name] = measure(name, args.rounds)
            print(name, {k: f"{t * 1e6:.0f}" for k, (t, _) in rows[name].items()})
    text = table(rows)
    print(text)
    if args.docs:
        start, end = map(re.escape, MARKS)
        old = PAGE.read_text()
        new = f"{MARKS[0]}\n{text}\n{MARKS[1]}"
        PAGE.write_text(re.sub(f"{start}.*{end}", lambda _: new, old, flags=re.S))


if __name__ == "__main__":
    main()
