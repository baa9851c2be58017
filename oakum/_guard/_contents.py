"""What lists, dicts and objects of others hold, to be compared later and put back.

A *container* here is a list, dict or deque, the `__dict__` of an object that JAX or a
program knows and oakum does not, or its slots (`Slots`).
"""

from __future__ import annotations

import operator
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._compat import current_trace, may_be_running, trace_of

Content = tuple[Any, Any]
"""A container, and what it held."""
_MOST = 1024  # containers that are looked through in one value
_MANY = 4096  # items of one that are looked at
_MISSING: Any = object()
_ROWS = (list, deque)
_PLAIN = (list, dict, OrderedDict, defaultdict)
_OAKUM = __name__.partition(".")[0] + "."
_OF_PYTHON = 1 << 9  # in the flags of a class
ENDS = (
    *(
        jax.Array,
        Tracer,
        np.ndarray,
        np.generic,
        np.dtype,
        int,
        float,
        complex,
        str,
        bytes,
    ),
    *(type, type(None), types.FunctionType, types.MethodType, types.ModuleType),
    types.BuiltinFunctionType,
)
_KEPT = {"__main__", "argparse", "collections", "types"}
_LIBRARIES = {*sys.stdlib_module_names, "jax", "jaxlib", "ml_dtypes", "numpy"} - _KEPT
quiet: set[type] = {int, float, bool, str, type(None), weakref.ref, *ENDS[-5:]}
"""Classes of which no value holds what can be edited in place, so far as was asked."""


class Slots:
    """The slots of an object, as a container.

    Args:
        owner: the object.
        names: the names of its slots.
    """

    __slots__ = ("names", "owner")

    def __init__(self, owner: Any, names: list[str]):
        self.owner, self.names = owner, names

    def values(self) -> tuple:
        return tuple([getattr(self.owner, name, _MISSING) for name in self.names])


def content_of(items: Any) -> tuple:
    """What a container holds now."""
    if isinstance(items, dict):
        return tuple(items), tuple(items.values())
    return items.values() if type(items) is Slots else tuple(items)


def same_content(items: Any, seen: tuple) -> bool:
    """Whether a container holds the very same objects, in the same order."""
    if isinstance(items, dict):
        keys, values = seen
        return tuple(items) == keys and all(map(operator.is_, items.values(), values))
    if type(items) is Slots:
        return all(map(operator.is_, items.values(), seen))
    return len(items) == len(seen) and all(map(operator.is_, items, seen))


def put_back(items: Any, seen: Any) -> None:
    """Gives a container what it held before."""
    if isinstance(items, dict):
        items.clear()
        items.update(zip(*seen, strict=True))
    elif isinstance(items, _ROWS):
        items.clear()
        items.extend(seen)
    else:
        for name, value in zip(items.names, seen, strict=True):
            if value is not _MISSING:
                object.__setattr__(items.owner, name, value)
            elif hasattr(items.owner, name):
                object.__delattr__(items.owner, name)


def holds_tracer(items: Any) -> bool:
    """Whether a traced value stands in a container."""
    held = items.values() if isinstance(items, (dict, Slots)) else items
    return any([isinstance(value, Tracer) for value in held])


def outlives(items: Any) -> bool:
    """Whether the traced values in a container are all of traces around this one."""
    held = items.values() if isinstance(items, (dict, Slots)) else items
    traces = [trace_of(value) for value in held if isinstance(value, Tracer)]
    running = current_trace()
    return all([t is not None and t != running and may_be_running(t) for t in traces])


def lost_tracers(items: Any, seen: Any) -> bool:
    """Whether a container held traced values when it was first seen, and none now.

    It was made or filled within a trace then, and what it held is not to come back.
    """
    before = seen[1] if isinstance(items, dict) else seen
    return any([isinstance(v, Tracer) for v in before]) and not holds_tracer(items)


def holds_state(held: Any) -> bool:
    """Whether arrays, traced values or objects of ours stand in what a list or dict
    held, pytrees looked through; all else is configuration."""
    leaves = jax.tree.leaves(held, is_leaf=is_ours)
    kinds = (jax.Array, Tracer, np.ndarray)
    return any([isinstance(leaf, kinds) or is_ours(leaf) for leaf in leaves])


def leads_inside(items: Any, mark: Any) -> bool:
    """Whether a container leads to a traced value, or to an object of another trace."""
    for _, content, _ in contents_within(items):
        for held in jax.tree.leaves(content, is_leaf=is_ours):
            if isinstance(held, Tracer):
                return True
            if is_ours(held) and held._oakum_mark != mark:
                return True
    return False


def contents_below(value: Any) -> list[Content]:
    """Each plain list and dict in a value, with what it holds; none below objects."""
    return [(items, seen) for items, seen, _ in _below(value, _of_plain)]


def contents_within(value: Any) -> list[tuple[Any, Any, bool]]:
    """Each container in a value, objects of others looked through; none below ours.

    Returns:
        The container, what it holds, and whether that is state: a part of a pytree.
    """
    return _below(value, _of_any)


def _below(value: Any, parts: Any) -> list[tuple[Any, Any, bool]]:
    found: dict[int, tuple[Any, Any, bool]] = {}
    waiting = [(value, True)]
    seen: set[int] = set()
    # No function that calls itself: its cycle would keep the tracers.
    while waiting and len(found) < _MOST:
        value, state = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        for container, children, is_state in parts(value, state):
            if container is not None:
                content = content_of(container)
                found[id(container)] = container, content, is_state
            waiting += [(child, is_state) for child in islice(children, _MANY)]
    return list(found.values())


def _of_plain(value: Any, state: bool) -> Iterator[tuple[Any, Any, bool]]:
    if isinstance(value, tuple):
        yield None, value, state
    elif type(value) in _PLAIN:
        yield value, value if type(value) is list else value.values(), state


def _of_any(value: Any, state: bool) -> Iterator[tuple[Any, Any, bool]]:
    kind = type(value)
    if kind in quiet:
        return
    if issubclass(kind, ENDS) or is_ours(value):
        if hasattr(kind, "_oakum_mark"):
            quiet.add(kind)
        return
    if isinstance(value, tuple):
        yield None, value, state
        return
    if isinstance(value, (dict, *_ROWS)):
        yield value, list(value.values() if isinstance(value, dict) else value), state
    else:
        state = state and not jax.tree_util.all_leaves([value])
        if not state and kind.__module__.partition(".")[0] in _LIBRARIES:
            return
    own = getattr(value, "__dict__", None)
    if type(own) is dict:
        yield own, list(own.values()), state
    if names := _slot_names(kind):
        slots = Slots(value, names)
        yield slots, slots.values(), state


def _slot_names(kind: type) -> list[str]:
    """The names of the slots of a class of Python's and its bases.

    Without the private ones of oakum's own: such as a GraphDef are immutable, and fill
    these when they are first asked.
    """
    return [
        name
        for base in kind.__mro__
        for name, item in vars(base).items()
        if type(item) is types.MemberDescriptorType and base.__flags__ & _OF_PYTHON
        if not (name.startswith("_") and base.__module__.startswith(_OAKUM))
    ]


def is_ours(value: Any) -> bool:
    """Whether a value is one of oakum's objects."""
    return hasattr(type(value), "_oakum_mark")
