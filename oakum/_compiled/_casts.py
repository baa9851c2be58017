"""Programs with JAX's cast of a NumPy array that was edited since are forgotten."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from .._statics import ON_STALE

every_jitted: weakref.WeakSet[Any] = weakref.WeakSet()
"""All that is jitted and alive."""


def _forget(array: np.ndarray, everywhere: bool) -> None:
    for jitted in list(every_jitted):
        plans = list(jitted._plans.values())
        if everywhere or any([plan.looks_at(array) for plan in plans]):
            jitted.forget_programs()


ON_STALE.append(_forget)
