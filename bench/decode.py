"""Seconds to decode a Llama on CPU: PyTorch's eager loop with its cache, and oakum.

    python bench/decode.py [--torch PYTHON] [--rounds 7] [--cores N] [--write]

Needs PyTorch and transformers, here or in the environment of the interpreter that
`--torch` names. Both have the same random weights: hidden 512, 8 layers, vocabulary
32,000, float32, batch 1; 64 tokens of prompt and 64 new ones, the best each time, which
have to be the same tokens. Each library runs in a process of its own, which waits while
the other one works; the rounds are interleaved, and a ratio is the median of the ratios
of the rounds. On a busy machine only one core tells something (`--cores 1`): threads of
PyTorch wait for each other by spinning. `--write` puts the table into docs/weights.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from marked_tables import put_table

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts"))

from families.sizes import decoder_sizes  # noqa: E402  # pyright: ignore

PROMPT, NEW = 64, 64
CONFIG = {
    **decoder_sizes(32_000, 512, 1376, layers=8, heads=8, kv_heads=8),
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
ROWS = {
    "prompt": "prompt and one token",
    "decode": "a token, one step at a time",
    "whole": "prompt and 64 tokens in one call",
}


def torch_tasks(folder: str) -> dict[str, Any]:
    """What PyTorch does, by name; the weights are written first if there are none."""
    import torch  # type: ignore[import-not-found]
    import transformers  # type: ignore[import-not-found]

    torch.manual_seed(0)
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**CONFIG))
        model.save_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.tensor([prompt()])

    def first() -> tuple[Any, Any]:
        out = model(tokens, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values

    def rest(token: Any, cache: Any) -> list[Any]:
        found = [token]
        for _ in range(NEW - 1):
            out = model(found[-1], past_key_values=cache, use_cache=True)
            found.append(out.logits[:, -1].argmax(-1, keepdim=True))
        return found

    def tokens_of(found: list[Any]) -> list[int]:
        return [int(token) for token in found]

    def guarded(task: Any) -> Any:
        def run() -> Any:
            with torch.inference_mode():
                return task()

        return run

    def decode() -> tuple[float, list[int]]:
        state = first()
        seconds, found = timed(lambda: rest(*state))
        return seconds / (NEW - 1), tokens_of(found)

    def whole() -> tuple[float, list[int]]:
        seconds, found = timed(lambda: rest(*first()))
        return seconds, tokens_of(found)

    def alone() -> tuple[float, list[int]]:
        seconds, (token, _) = timed(first)
        return seconds, [int(token)]

    tasks = {"prompt": alone, "decode": decode, "whole": whole}
    return {name: guarded(task) for name, task in tasks.items()}


def oakum_tasks(folder: str) -> dict[str, Any]:
    """What oakum does, by name."""
    sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "models")]
    import jax
    import jax.numpy as jnp
    import llama  # type: ignore[import-not-found]

    import oakum as nnx

    model = llama.load(folder)
    tokens = jnp.array([prompt()])

    @nnx.jit
    def step(model: Any, tokens: Any, caches: Any) -> Any:
        return jnp.argmax(model(tokens, caches)[:, -1:], -1)

    def first() -> tuple[Any, Any]:
        caches = model.init_caches(1, PROMPT + NEW)
        return step(model, tokens, caches).block_until_ready(), caches

    def rest(token: Any, caches: Any) -> list[Any]:
        found = [token]
        for _ in range(NEW - 1):
            found.append(step(model, found[-1], caches))
        return jax.block_until_ready(found)

    def decode() -> tuple[float, list[int]]:
        state = first()
        seconds, found = timed(lambda: rest(*state))
        return seconds / (NEW - 1), [int(token[0, 0]) for token in found]

    def generate(steps: int) -> tuple[float, list[int]]:
        def run() -> Any:
            caches = model.init_caches(1, PROMPT + NEW)
            found = nnx.generate(model, tokens, caches, steps)
            return found.block_until_ready()

        seconds, found = timed(run)
        return seconds, found[0].tolist()

    return {
        "prompt": lambda: generate(1),
        "decode": decode,
        "whole": lambda: generate(NEW),
    }


def prompt() -> list[int]:
    return [(7919 * i + 13) % 32_000 for i in range(PROMPT)]


def timed(task: Any) -> tuple[float, Any]:
    """Seconds, and what the task returns; of the processor where there is one core."""
    clock = time.process_time if cores() == 1 else time.perf_counter
    start = clock()
    out = task()
    return clock() - start, out


def cores() -> int:
    return len(os.sched_getaffinity(0))


def serve(kind: str, folder: str) -> None:
    """Runs what is asked for on stdin, one name a line; answers in JSON."""
    os.environ["OMP_NUM_THREADS"] = str(cores())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    tasks = {"torch": torch_tasks, "oakum": oakum_tasks}[kind](folder)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(tasks[line.strip()]()), file=answers, flush=True)


class Worker:
    """A process that does one library's part."""

    def __init__(self, python: str, kind: str, folder: str):
        command = [python, __file__, "--serve", kind, folder]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready":
            raise RuntimeError(f"{kind} did not start")

    def run(self, task: str) -> tuple[float, list[int]]:
        assert self.process.stdin is not None
        print(task, file=self.process.stdin, flush=True)
        seconds, tokens = json.loads(self._line())
        return seconds, tokens

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def measure(python: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of PyTorch and of oakum for each task and round."""
    found: dict[str, list[tuple[float, float]]] = {task: [] for task in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        theirs = Worker(python, "torch", folder)  # which writes the weights
        ours = Worker(sys.executable, "oakum", folder)
        for number in range(rounds + 1):
            for task, pairs in found.items():
                one, tokens = theirs.run(task)
                other, same = ours.run(task)
                if tokens != same:
                    raise RuntimeError(f"{task}: tokens differ, {tokens} and {same}")
                if number:  # the first round compiles
                    pairs.append((one, other))
        theirs.close()
        ours.close()
    return found


def table(found: dict[str, list[tuple[float, float]]]) -> str:
    lines = ["| | PyTorch, ms | oakum, ms | ratio |", "|---|---|---|---|"]
    for task, pairs in found.items():
        one, other = (1000 * statistics.median(x) for x in zip(*pairs, strict=True))
        ratio = statistics.median(ours / theirs for theirs, ours in pairs)
        lines.append(f"| {ROWS[task]} | {one:.1f} | {other:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, help="how many to use, all by default")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(*given.serve)
        return
    if given.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    text = table(measure(given.torch, given.rounds))
    print(text)
    if given.write:
        put_table("docs/weights.md", __file__, text.splitlines())


if __name__ == "__main__":
    main()
