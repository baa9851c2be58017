"""What the guard costs: each hazard looked for, beside none.

    python bench/guard.py [--depth 16] [--rounds 60] [--only call]

An eager call and a trace of the model of `dispatch.py`, and a trace under plain
`jax.jit` of the model as an argument and as captured state, where there is most to do.

Made for a busy machine: processor time of this thread, in many short rounds that are
interleaved over the levels, in an order that turns from round to round, with the
garbage collector off. Before them stands what one part costs that a compiled call looks
at again, in µs. The lower quartiles are compared, as ratios to `guard('off')`;
the column `again` is `off` a second time, so its distance from 1 is the noise. The
second row of a program counts calls of functions, Python's and C's, which is exact.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import statistics
import sys
import time
import warnings
from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
from dispatch import WIDTH, build_nnx

import oakum as nnx

LEVELS = {
    "off": nnx.guard("off"),
    "again": nnx.guard("off"),
    "leak": nnx.guard("off", leak="error"),
    "escaped": nnx.guard("off", escaped="error"),
    "donated": nnx.guard("off", donated="error"),
    "stale": nnx.guard("off", stale="warn"),
    "lost": nnx.guard("off", lost="warn"),
    "default": nnx.guard("warn"),
}


def cases(depth: int) -> dict:
    """The programs, by name: function and repetitions in a round."""
    model, x = build_nnx(nnx, depth), jnp.ones((4, WIDTH))
    return {
        "eager call": (lambda: model(x), 3),
        "nnx.jit trace": (lambda: nnx.jit(lambda m, x: m(x)).lower(model, x), 1),
        "jax.jit trace, argument": (
            lambda: jax.jit(lambda m, x: m(x)).trace(model, x),
            1,
        ),
        "jax.jit trace, captured": (lambda: jax.jit(lambda x: model(x)).trace(x), 1),
    }


def measure(run: Any, times: int, rounds: int) -> dict[str, float]:
    """Processor time of one run at each level, the lower quartile of all rounds."""
    taken: dict[str, list[float]] = {level: [] for level in LEVELS}
    run()
    levels = list(LEVELS)
    for number in range(rounds):
        gc.collect()
        gc.disable()
        turn = number % len(levels)
        for level in levels[turn:] + levels[:turn]:
            with LEVELS[level]:
                start = time.thread_time()
                for _ in range(times):
                    run()
                taken[level].append((time.thread_time() - start) / times)
        gc.enable()
    return {level: statistics.quantiles(t, n=4)[0] for level, t in taken.items()}


def count(run: Any) -> dict[str, float]:
    """Calls of functions in one run at each level."""
    found: dict[str, float] = {}
    for level, switch in LEVELS.items():
        calls = 0

        def note(frame: Any, event: str, arg: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        with switch:
            run()  # what only a first call does is done
            gc.disable()
            sys.setprofile(note)
            run()
            sys.setprofile(None)
            gc.enable()
        found[level] = calls
    return found


@dataclasses.dataclass
class Config:
    """A configuration of ten values, as models keep them."""

    a: int = 1
    b: int = 2
    c: float = 3.0
    d: str = "gelu"
    e: tuple = (1, 2)
    f: Any = jnp.float32
    g: bool = True
    h: Any = None
    i: int = 9
    j: float = 1e-5


class Holder(nnx.Module):
    """A model with one more part."""

    def __init__(self, part: Any):
        self.part, self.w = part, nnx.Param(jnp.ones(3))


def looked(rounds: int) -> None:
    """What one part that is looked at again in each call costs, beside a number."""
    scale = 2.0
    parts = {
        "a number": 1,
        "a dataclass of 10": Config(),
        "an OrderedDict of 10": OrderedDict((str(i), jnp.ones(3)) for i in range(10)),
        "the same as nnx.Dict": nnx.Dict({str(i): jnp.ones(3) for i in range(10)}),
        "a closure": lambda x: x * scale,
        "nnx.static(list of 10)": nnx.static(list(range(10))),
    }
    step = nnx.jit(lambda m: m.w * 2)
    models = {name: Holder(part) for name, part in parts.items()}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        step(model)
    for _ in range(rounds):
        for name, model in models.items():
            start = time.thread_time()
            for _ in range(200):
                step(model)
            taken[name].append((time.thread_time() - start) / 200)
    best = {name: statistics.quantiles(t, n=4)[0] * 1e6 for name, t in taken.items()}
    for name, cost in best.items():
        print(f"{name:26}{cost:9.2f} us {cost - best['a number']:+9.2f}")


def row(name: str, unit: str, found: dict[str, float]) -> str:
    base = found.pop("off")
    ratios = [f"{value / base:9.3f}" for value in found.values()]
    return " ".join([f"{name:26}{base:9.2f} {unit:2}", *ratios])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=16, help="blocks of the model")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", default="", help="programs whose name has this in it")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':26}{'off':>12}", *[f"{name:>9}" for name in list(LEVELS)[1:]])
    if given.only in "looked":
        looked(given.rounds)
    for name, (run, times) in cases(given.depth).items():
        if given.only in name:
            found = measure(run, times, given.rounds)
            print(row(name, "ms", {k: v * 1e3 for k, v in found.items()}))
            print(row("", "k", {k: v / 1e3 for k, v in count(run).items()}))


if __name__ == "__main__":
    main()
