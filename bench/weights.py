"""Time and memory of loading weights, beside safetensors' own reader and nnx.update.

    python bench/weights.py [gigabytes] [--write]

A file of square float32 matrices goes into Linears that were built abstract. The
reference reads it with `safetensors.numpy.load_file` and hands the arrays on without
any transpose, which a PyTorch file needs and `nnx.weights.load` does. Each run is a
process of its own, the rounds are interleaved, and the file is in the page cache. The
time of the processors says more than the clock on a busy machine. The peak is of
anonymous memory, what a process must own, over the size of the tensors. `--write`
puts the table into docs/weights.md.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from marked_tables import put_table

ROUNDS = 5
SIZE = 2048

BUILD = """
import sys, time, threading
import jax, numpy as np
import oakum as nnx
file, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

class Model(nnx.Module):
    def __init__(self, rngs):
        self.layers = [
            nnx.Linear(size, size, use_bias=False, rngs=rngs) for _ in range(count)
        ]

model = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
jax.block_until_ready(jax.numpy.ones(2) + 1)

def anonymous():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024

peak, done, before = [0], [False], anonymous()
def watch():
    while not done[0]:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.002)
thread = threading.Thread(target=watch)
"""
WAYS = {
    "safetensors": """
from safetensors.numpy import load_file
def load():
    tensors = load_file(file)
    nnx.update(model, {"layers": {
        i: {"kernel": tensors[f"layers.{i}.weight"]} for i in range(count)
    }})
""",
    "oakum": """
nnx.weights.load
def load():
    nnx.weights.load(model, file)
""",
}
ROWS = {
    "safetensors": "`safetensors.numpy.load_file`, `nnx.update`",
    "oakum": "`nnx.weights.load`",
}
RUN = """
thread.start()
start, used = time.perf_counter(), time.process_time()
load()
jax.block_until_ready([layer.kernel.value for layer in model.layers])
seconds, used = time.perf_counter() - start, time.process_time() - used
done[0] = True
thread.join()
print(seconds, used, (peak[0] - before) / (count * size * size * 4))
"""


def write(file: str, count: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    draw = np.random.default_rng(0)
    matrix = draw.standard_normal((SIZE, SIZE), "f")
    save_file({f"layers.{i}.weight": matrix + i for i in range(count)}, file)


def measure(way: str, file: str, count: int) -> list[float]:
    code = BUILD + WAYS[way] + RUN
    command = [sys.executable, "-c", code, file, str(count), str(SIZE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(number) for number in done.stdout.split()]


def table(found: dict[str, list[list[float]]]) -> list[str]:
    lines = ["| | seconds | ratio | of processors | ratio | peak |", "|---" * 6 + "|"]
    for way, results in found.items():
        pairs = list(zip(results, found["safetensors"], strict=True))
        wall, used, peak = map(statistics.median, zip(*results, strict=True))
        walls = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
        both = statistics.median(ours[1] / theirs[1] for ours, theirs in pairs)
        figures = (wall, walls, used, both, peak)
        lines.append(
            " | ".join([f"| {ROWS[way]}", *map("{:.2f}".format, figures)]) + " |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("gigabytes", type=float, nargs="?", default=1.0)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    count = max(1, round(given.gigabytes * 2**30 / (SIZE * SIZE * 4)))
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.safetensors")
        write(file, count)
        found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, results in found.items():
                results.append(measure(way, file, count))
    lines = table(found)
    print(time.strftime("%Y-%m-%d"), f"{count} matrices of {SIZE} by {SIZE}, float32")
    print("\n".join(lines))
    if given.write:
        put_table("docs/weights.md", __file__, lines)


if __name__ == "__main__":
    main()
