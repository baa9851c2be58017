"""Random programs over random object graphs mean what they mean in plain Python.

200 programs by default; `OAKUM_FUZZ_GRAPHS=5000` (`make fuzz`) asks for more, and
`OAKUM_FUZZ_FIRST` is the first seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from tests.fuzz.graphs import (
    AROUND,
    COPIES,
    EDITS,
    LOOPS,
    OTHER_STEPS,
    VALUES,
    Program,
    Run,
    generate,
)
from tests.fuzz.objects import Plain, Watched, describe
from tests.fuzz.shrinking import shrink
from tests.models import holds_tracer

EXAMPLES = int(os.environ.get("OAKUM_FUZZ_GRAPHS", "200"))
FIRST = int(os.environ.get("OAKUM_FUZZ_FIRST", "0"))
BATCH = 20


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """Most programs are compiled to be run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def fault_of(program: Program) -> str | None:
    """What goes wrong in a program, or None."""
    plain = Run(program, Plain)
    try:
        watched = Run(program, Watched)
        differs = difference(watched, plain, None, None)
        if differs:
            return f"graph: {differs}"
        steps = watched.steps()
        for step, expected in plain.steps():
            _, got = next(steps)
            differs = difference(watched, plain, got, expected)
            if differs:
                return f"after {step[0]}: {differs}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def difference(watched: Run, plain: Run, got: Any, expected: Any) -> str | None:
    """The first difference between two runs."""
    if any(map(holds_tracer, watched.roots)):
        return "a tracer is left"
    if expected is not None and not alike(got, expected):
        return f"result: got {got}, expected {expected}"
    ours, theirs = describe(watched.roots), describe(plain.roots)
    for a, b in zip(ours, theirs, strict=False):
        if a[:2] != b[:2] or not alike(a[2], b[2]):
            return f"got {a}, expected {b}"
    if len(ours) != len(theirs):
        return f"got {len(ours)} things, expected {len(theirs)}"
    return None


def alike(a: Any, b: Any) -> bool:
    if isinstance(b, jax.Array):
        return (
            isinstance(a, jax.Array)
            and (a.shape, a.dtype) == (b.shape, b.dtype)
            and np.allclose(a, b, rtol=1e-4, atol=1e-4)
        )
    if callable(b):
        return a(1.0) == b(1.0)
    return a == b


def kind_of(fault: str | None) -> str:
    """Enough of a fault to tell it from another, whatever the values and paths."""
    return "" if fault is None else " ".join(fault.split()[:2])


def report(program: Program, seed: int, tries: int = 300) -> str:
    """A failing program, as small as it gets, line by line."""
    kind = kind_of(fault_of(program))
    small = shrink(program, lambda p: kind_of(fault_of(p)) == kind, tries)
    plain = Run(small, Plain)
    try:
        list(plain.steps())
    except Exception as error:
        plain.lines.append(f"the plain program fails: {error!r}")
    lines = "\n".join(plain.lines)
    return f"seed {seed}\n{fault_of(small)}\n{lines}\n{small}"


def test_the_programs_reach_every_operation():
    def names(operations: Any) -> Iterator[str]:
        for operation in operations:
            yield operation[0]
            for arg in operation[1:]:
                if isinstance(arg, tuple):
                    yield from names(arg)

    made = [generate(seed) for seed in range(200)]
    bodies = [body for p in made for _, body in p.functions]
    seen = {n for b in (*bodies, *[p.steps for p in made]) for n in names(b)}
    assert {*EDITS, *VALUES, *AROUND, *LOOPS, "while_loop", "try", "raise"} <= seen
    assert {*COPIES, *OTHER_STEPS, "call", "fail", "eager", "configure"} <= seen


@pytest.mark.parametrize("first", range(FIRST, FIRST + EXAMPLES, BATCH))
def test_a_program_means_what_it_means_in_plain_python(first):
    for seed in range(first, min(first + BATCH, FIRST + EXAMPLES)):
        program = generate(seed)
        if fault_of(program) is not None:
            pytest.fail(report(program, seed), pytrace=False)
        jax.clear_caches()
