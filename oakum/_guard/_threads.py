"""What a thread sees of state that a call in another one gives away.

A donating call counts who holds each array, copies what somebody holds, and hands the
rest to XLA, which deletes them. A thread that takes an array after the count would hold
one that is about to die. So each such call stands in `consuming` from before its count
until its results are written, and a reader looks there *after* it has taken an array:
either the call begins later and counts it, or the reader waits and takes the new one.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Sequence
from typing import Any

PATIENCE = 10.0  # seconds that a step may take to write what it gave away

consuming: dict[int, tuple[int, Any]] = {}
"""The calls that are giving their inputs away now: thread and plan, by identity."""
_get_raw = operator.attrgetter("_raw")


def settled(variable: Any) -> Any:
    """The array of a Variable, to be held: no call is about to give it away."""
    (value,) = settled_values((variable,))
    return value


def settled_values(variables: Sequence[Any]) -> list[Any]:
    """The arrays of Variables as of one moment, to be held.

    A call writes all that it has to write in one go, and they are read in one go, so
    that no value is of another step than the rest.
    """
    end = time.monotonic() + PATIENCE
    while True:
        values = list(map(_get_raw, variables))
        if not consuming or not _is_given_away(variables):
            # A call that took them and ended since then has written others.
            if all(map(operator.is_, values, map(_get_raw, variables))):
                return values
        elif time.monotonic() > end:
            return values
        else:
            time.sleep(1e-4)


def _is_given_away(variables: Sequence[Any]) -> bool:
    """Whether a call in another thread takes some of these Variables."""
    here, wanted = threading.get_ident(), set(map(id, variables))
    return any(
        thread != here and not wanted.isdisjoint(map(id, plan.variables))
        for thread, plan in list(consuming.values())
    )
