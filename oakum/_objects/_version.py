"""Versions: how a compiled call knows that nothing structural changed.

Every node and Variable carries a version that structural changes bump: an attribute set
or deleted, a list or dict edited, metadata changed; a Variable's new value only where
it lies on other devices of a mesh. The
newest version given out anywhere is `clock.now`, so that a call which sees the same
`clock.now` as last time knows, without looking at any node, that nothing changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from itertools import repeat
from typing import Any

from jax.sharding import SingleDeviceSharding

from .._compat import ConcreteArray


class _Clock:
    __slots__ = ("now", "places")
    __module__ = __name__

    def __reduce__(self) -> str:  # pickle sends its name and not a copy
        return "clock"

    def __init__(self) -> None:
        self.now = 0
        self.places = False
        """Whether something compiled wants to know where a new value lies."""


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


def noted(variable: Any, value: Any) -> Any:
    """A value for a Variable, whose version is bumped where it lies elsewhere.

    A compiled step leaves what it writes where it lay on several devices.
    """
    old = variable._raw
    if type(old) is ConcreteArray and type(value) is ConcreteArray:
        before, after = old.sharding, value.sharding
        on_one = type(before) is type(after) is SingleDeviceSharding
        if not on_one and before != after:
            bump(variable)
    return value


def versions(objects: Iterable[Any]) -> list[int]:
    """The structural versions of nodes and Variables."""
    # Past what the guard does at each access.
    return list(map(object.__getattribute__, objects, repeat("_oakum_version")))
