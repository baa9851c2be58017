"""Arrays and tracers: their concrete class, and who holds one."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from types import FrameType
from typing import Any

try:
    from jax._src.array import ArrayImpl as ConcreteArray
except ImportError:  # pragma: no cover - another JAX
    ConcreteArray: Any = None  # no type: deleted arrays are then found by JAX alone


def used_in_equations_alone(tracer: Any, box: Any = None) -> bool:
    """Whether nothing but a box and equations of its trace holds a tracer."""
    for holder in gc.get_referrers(tracer):
        if holder is box or isinstance(holder, FrameType):
            continue
        if not isinstance(holder, list | tuple) or not any(
            type(owner).__name__ == "TracingEqn" for owner in gc.get_referrers(holder)
        ):
            return False
    return True


def held_by_programs(arrays: Sequence[Any]) -> set[tuple[int, int]]:
    """Which arrays are constants of a recorded program that is alive.

    Returns:
        The identity of the program's list of constants, and that of the array.
    """
    lists = [found for found in gc.get_referrers(*arrays) if type(found) is list]
    idents = set(map(id, arrays))
    return {
        (id(constants), id(array))
        for constants in lists
        for array in constants
        if id(array) in idents and _is_of_a_program(constants)
    }


def _is_of_a_program(constants: list[Any]) -> bool:
    owners = gc.get_referrers(constants)
    return any(type(owner).__name__ == "ClosedJaxpr" for owner in owners)


def was_consumed(error: Exception) -> bool:
    """Whether a call failed because an array that it was given had been given away.

    A text in which JAX says so begins with it; what a callback of the user's raised
    stands further behind.
    """
    first = str(error).partition("\n")[0]
    return first.startswith("Array has been deleted") or (
        first.startswith("INVALID_ARGUMENT")
        and ("donated" in first or "deleted" in first)
    )
