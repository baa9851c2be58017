"""What plain lists and dicts hold, to be compared later and put back."""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict
from typing import Any

_CONTAINERS = (list, dict, OrderedDict, defaultdict)
Content = tuple[Any, Any]
"""A list or dict, and what it held."""


def content_of(items: Any) -> tuple:
    """What a plain list or dict holds now."""
    if isinstance(items, dict):
        return tuple(items), tuple(items.values())
    return tuple(items)


def same_content(items: Any, seen: tuple) -> bool:
    """Whether a plain list or dict holds the very same objects, in the same order."""
    if isinstance(items, dict):
        keys, values = seen
        return tuple(items) == keys and all(map(operator.is_, items.values(), values))
    return len(items) == len(seen) and all(map(operator.is_, items, seen))


def put_back(items: Any, seen: Any) -> None:
    """Gives a plain list or dict what it held before."""
    if isinstance(items, dict):
        items.clear()
        items.update(zip(*seen, strict=True))
    else:
        items[:] = seen


def contents_below(value: Any) -> list[Content]:
    """Each list and dict in a value, with what it holds; none below objects."""
    found: dict[int, Content] = {}
    waiting = [value]  # no function that calls itself: its cycle would keep the tracers
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in _CONTAINERS:
            if id(value) not in found:
                found[id(value)] = value, content_of(value)
                waiting += value if kind is list else value.values()
        elif issubclass(kind, tuple):
            waiting += value
    return list(found.values())
