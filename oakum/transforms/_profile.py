"""profile: where the time of a jitted call goes, and what it holds in memory."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from .._compiled._jitted import Jitted
from .._objects import OptState, Param, Variable
from .._state import clone
from ..errors import ArgumentError


class Profile(NamedTuple):
    """What one jitted call costs; printed as a table.

    Attributes:
        plan: finding what is known of the arguments, in seconds, as all times are.
        collect: gathering the arrays of the state.
        dispatch: handing them to the compiled program.
        write_back: putting the new arrays into the state.
        device: waiting until the results are there, after the call has returned.
        trace, lower, compile: what the first call costs.
        parameters, slots, other_state, arguments: bytes of `Param`s, of the
            optimizer's state, of all other state, and of arrays among the arguments.
        temporaries: bytes that the program takes while it runs, gradients among them.
        donated: bytes of state whose memory the results take over.
        calls: how many calls the times are medians of.
    """

    plan: float
    collect: float
    dispatch: float
    write_back: float
    device: float
    trace: float
    lower: float
    compile: float
    parameters: int
    slots: int
    other_state: int
    arguments: int
    temporaries: int
    donated: int
    calls: int

    @property
    def host(self) -> float:
        """What a call costs on the host, in seconds."""
        return self.plan + self.collect + self.dispatch + self.write_back

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    __repr__ = __str__


def profile(
    step: Callable[..., Any], *args: Any, calls: int = 50, **kwargs: Any
) -> Profile:
    """Measures where the time of a jitted call goes, and what it holds in memory.

    It runs on copies of the arguments: no state changes, and nothing is donated.

    Args:
        step: a function from `nnx.jit`.
        *args, **kwargs: what it is to be called with.
        calls: how many calls to take the median of.

    Returns:
        A `Profile`: its fields are numbers, and it prints as a table.

    Raises:
        ArgumentError: the function is none of `nnx.jit`'s.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> step = nnx.jit(lambda model, x: model(x))
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> found = nnx.profile(step, model, jnp.ones((1, 2)), calls=3)
        >>> found.parameters, found.slots, found.host > 0
        (36, 0, True)
    """
    known = getattr(step, "jit", None)
    if not isinstance(known, Jitted):
        raise ArgumentError(
            f"profile: {getattr(step, '__name__', step)!r} is no function of nnx.jit",
            remedy="nnx.profile(nnx.jit(f), ...).",
        )
    args, kwargs = clone((args, kwargs))
    fresh = known.again()
    with jax.disable_jit(False):
        building = _first_call(fresh, args, kwargs)
        fresh.call(*args, **kwargs)
        rows = [_steady_call(fresh, args, kwargs) for _ in range(max(calls, 1))]
    times = [statistics.median(column) for column in zip(*rows, strict=True)]
    sizes = _sizes(fresh, args, kwargs)
    return Profile._make([*times, *building, *sizes, calls])


def _first_call(jit: Jitted, args: tuple, kwargs: dict) -> list[float]:
    marks = [time.perf_counter()]
    traced = jit.trace(*args, **kwargs)
    marks.append(time.perf_counter())
    lowered = traced.lower()
    marks.append(time.perf_counter())
    lowered.compile()
    marks.append(time.perf_counter())
    return _between(marks)


def _steady_call(jit: Jitted, args: tuple, kwargs: dict) -> list[float]:
    """The parts of one call, as `Plan.run` does them."""
    marks = [time.perf_counter()]
    plan, dynamic = jit.known_plan(args, kwargs)
    marks.append(time.perf_counter())
    function, values = plan.inputs(dynamic)
    marks.append(time.perf_counter())
    results = function(*values)
    del values
    marks.append(time.perf_counter())
    plan.commit(results)
    marks.append(time.perf_counter())
    jax.block_until_ready(results)
    marks.append(time.perf_counter())
    return _between(marks)


def _between(marks: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(marks)]


def _sizes(jit: Jitted, args: tuple, kwargs: dict) -> list[int]:
    plan, dynamic = jit.known_plan(args, kwargs)
    kinds = {Param: 0, OptState: 0, Variable: 0}
    for variable in plan.variables:
        kind = next(kind for kind in kinds if isinstance(variable, kind))
        kinds[kind] += _bytes(variable.get_raw_value())
    memory = jit.trace(*args, **kwargs).lower().compile().memory_analysis()
    temporaries = getattr(memory, "temp_size_in_bytes", 0)
    donation = plan.entry.donation
    given = donation.positions if donation is not None else ()
    values = plan.values()
    donated = sum([_bytes(values[i]) for i in given])
    return [*kinds.values(), _bytes(dynamic), temporaries, donated]


def _bytes(value: Any) -> int:
    return sum([getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(value)])


def _lines(found: Profile) -> Iterator[str]:
    yield f"one call on the host, median of {found.calls}"
    for name in ("plan", "collect", "dispatch", "write_back"):
        yield f"  {name.replace('_', ' '):<16}{getattr(found, name) * 1e6:>12.1f} us"
    yield f"  {'in all':<16}{found.host * 1e6:>12.1f} us"
    yield f"  {'then the device':<16}{found.device * 1e6:>12.1f} us"
    yield "the first call"
    for name in ("trace", "lower", "compile"):
        yield f"  {name:<16}{getattr(found, name) * 1e3:>12.1f} ms"
    yield "memory"
    for name in ("parameters", "slots", "other_state", "arguments", "temporaries"):
        yield f"  {name.replace('_', ' '):<16}{_size(getattr(found, name)):>15}"
    yield f"  {'donated':<16}{_size(found.donated):>15}"


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{size:,.1f} {unit}" if unit != "B" else f"{count} B"
