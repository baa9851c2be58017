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
