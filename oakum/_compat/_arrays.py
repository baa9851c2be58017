"""Arrays and tracers: their concrete class, and who holds one."""

from __future__ import annotations

import gc
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


def was_consumed(error: Exception) -> bool:
    """Whether a call failed because an array that it was given had been given away.

    A text in which JAX says so begins with it; what a callback of the user's raised
    stands further behind.
    """
    first = str(error).partition("\n")[0]
    return first.startswith("Array has been deleted") or (
        first.startswith("INVALID_ARGUMENT") and "donated" in first
    )
