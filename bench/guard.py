"""What the guard costs: each hazard looked for, beside none.

    python bench/guard.py [--depth 16] [--rounds 15]

An eager call and a trace of the model of `dispatch.py`, and a trace under plain
`jax.jit` of the model as an argument and as captured state, where there is most to do.
Rounds are interleaved over the levels; medians, as ratios to `guard('off')`.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import jax
import jax.numpy as jnp
from dispatch import WIDTH, build_nnx

import oakum as nnx

LEVELS = {
    "off": nnx.guard("off"),
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
        "eager call": (lambda: model(x), 20),
        "nnx.jit trace": (lambda: nnx.jit(lambda m, x: m(x)).lower(model, x), 1),
        "jax.jit trace, argument": (
            lambda: jax.jit(lambda m, x: m(x)).trace(model, x),
            1,
        ),
        "jax.jit trace, captured": (lambda: jax.jit(lambda x: model(x)).trace(x), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=16, help="blocks of the model")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':26}{'off':>10}", *[f"{name:>9}" for name in list(LEVELS)[1:]])
    for name, (run, times) in cases(given.depth).items():
        taken: dict[str, list[float]] = {level: [] for level in LEVELS}
        run()
        for _ in range(given.rounds):
            for level, switch in LEVELS.items():
                with switch:
                    start = time.perf_counter()
                    for _ in range(times):
                        jax.block_until_ready(run())
                    taken[level].append((time.perf_counter() - start) / times)
        medians = {level: statistics.median(t) for level, t in taken.items()}
        base = medians.pop("off")
        ratios = [f"{median / base:9.3f}" for median in medians.values()]
        print(f"{name:26}{base * 1e3:7.2f} ms", *ratios)


if __name__ == "__main__":
    main()
