"""Versions: how a compiled call knows that nothing structural changed.

Every node and Variable carries a version that structural changes bump: an attribute set
or deleted, a list or dict edited, metadata changed; not a Variable's new value. The
newest version given out anywhere is `clock.now`, so that a call which sees the same
`clock.now` as last time knows, without looking at any node, that nothing changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from itertools import repeat
from typing import Any


class _Clock:
    __slots__ = ("now",)
    __module__ = __name__

    def __reduce__(self) -> str:  # pickle sends its name and not a copy
        return "clock"

    def __init__(self) -> None:
        self.now = 0


clock = _Clock()
_versions = itertools.count(1)


def tick() -> int:
    """Lets all that is known be asked anew; gives a new version."""
    clock.now = version = next(_versions)
    return version


def bump(obj: Any) -> int:
    """Notes a structural change of `obj`; gives its new version."""
    clock.now = version = next(_versions)
    # Past `__setattr__`, which users override.
    object.__setattr__(obj, "_oakum_version", version)
    return version


def versions(objects: Iterable[Any]) -> list[int]:
    """The structural versions of nodes and Variables."""
    # Past what the guard does at each access.
    return list(map(object.__getattribute__, objects, repeat("_oakum_version")))
