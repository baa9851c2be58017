"""What decides which state a jitted function finds, beside the way to what it captures.

A list that was empty when the function was traced, a name that was None, a flag that
picks one of two models: no step leads from them to state, so that `_sources` does not
look at them. They are looked at here, some 0.1 us for each in a call, and what was
compiled is known by what they held.
"""

from __future__ import annotations

import enum
from collections import deque
from types import FunctionType, SimpleNamespace
from typing import Any

from ..._objects import is_object
from ..._statics import is_installed
from ._below import below
from ._steps import ANY, BY_VALUE, GROWING, TOO_MANY, Step

_MOST = 64  # switches that are looked at in each call


def switches_of(function: Any) -> list[Step]:
    """What decides which state a function finds, beside the way to what it captures.

    That are lists and dicts, and what holds None, a text, a bool or a member of an
    Enum; of attributes and items, those that the code on the way names. Other numbers
    are no switches: a program may count where a function reads an attribute of that
    name of something else, and would be traced anew in each call.

    Args:
        function: the user's function.
    """
    names: set[str] = set()
    _switches(function, names)  # an object may be met before the code that reads it
    found = _switches(function, names)
    return found if len(found) <= _MOST else []


def _switches(function: Any, names: set[str]) -> list[Step]:
    found: dict[tuple[int, Any], Step] = {}
    queue: deque[Any] = deque([function])
    seen = {id(function)}
    while queue and len(seen) < TOO_MANY:
        value = queue.popleft()
        if is_object(value) or _is_of_library(value):
            continue
        if isinstance(value, GROWING):
            found[id(value), ANY] = Step(value, ANY, None).of_items()
        for container, key, child in below(value, names):
            if container is None or _is_read(value, container, key, names):
                named = container is not value or (type(key) is str and key in names)
                if container is not None and _is_switch(child, named):
                    found[id(container), key] = Step(container, key, child)
                elif type(child) not in BY_VALUE and id(child) not in seen:
                    seen.add(id(child))
                    queue.append(child)
    return list(found.values())


def _is_read(value: Any, container: Any, key: Any, names: set[str]) -> bool:
    """Whether code names an attribute; items are taken for read."""
    if type(key) is not str or (container is value and isinstance(value, dict)):
        return True
    return key in names or key in ("__defaults__", "__kwdefaults__", "__wrapped__")


def _is_of_library(value: Any) -> bool:
    """Whether a value is a function or an object of an installed library."""
    if isinstance(value, FunctionType):
        return is_installed(value.__globals__.get("__name__"))
    if isinstance(value, (*GROWING, tuple, SimpleNamespace)):
        return False
    home = type(value).__module__
    return home not in ("builtins", "functools", "types") and is_installed(home)


def _is_switch(child: Any, named: bool) -> bool:
    """Whether a value is one of few, so far as can be told."""
    few = child is None or type(child) in (str, bool) or isinstance(child, enum.Enum)
    return named and few


def values_of(switches: list[Step]) -> tuple:
    """What switches hold now, to find what was compiled with these values."""
    return tuple(
        [
            (None, len(step.beside)) if step.key is ANY else (step.key, step.value)
            for step in switches
        ]
    )
