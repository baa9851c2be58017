"""Where a function finds the state that it captures.

`jit` makes captured state an input, and remembers the objects. When the name, attribute
or item under which the function found an object holds another one, what was remembered
is wrong. So the steps from the function to each object are kept, and a call looks at
them.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..._graph import NODE, STATIC, TREE, Encoder
from ..._guard import resolve
from ..._guard import seal as seal_object
from ..._objects import is_array, is_object
from ..._statics import note_array, static_key
from ...errors import OakumWarning
from ._below import below
from ._steps import BUFFERS, BY_VALUE, GROWING, SETS, TOO_MANY, Step, step_of_values

_MOST = 50_000  # values that are looked at in all
_DEPTH = 24
_LARGE = 1 << 20  # bytes of an array of which all are compared


class Steps(NamedTuple):
    """The steps to what a function captures, and what none of them leads to."""

    steps: list[Step]
    unfollowed: list[Any]


def static_values(token: Any) -> Iterator[Any]:
    """The static values of arguments that were taken apart, such as functions."""
    tag = token[0]
    if tag == STATIC:
        yield token[1].value
    for child in token[3] if tag == NODE else token[4] if tag == TREE else ():
        yield from static_values(child)


def steps_to(starts: list[Any], captured: list[Any]) -> Steps:
    """The steps by which a function reaches objects.

    Args:
        starts: the user's function, and what its arguments hold of functions.
        captured: nodes and Variables that it read, though they are no arguments.
    """
    wanted = {id(o) for obj in captured for o in (obj, resolve(obj))}
    reached: set[int] = set()
    kept: dict[tuple[int, Any], Step] = {}
    containers: set[int] = set()
    for obj, path in _ways(starts, containers):
        encoder = Encoder()
        encoder.visit(obj)
        found = wanted & set(map(id, encoder.objects))
        if found:
            reached |= found
            kept |= {(id(step.container), _name(step)): step for step in path}
    left = [
        obj for obj in captured if not {id(obj), id(resolve(obj))}.intersection(reached)
    ]
    steps = [
        step.of_items()
        if id(step.container) in containers and isinstance(step.container, GROWING)
        else step
        for step in kept.values()
    ]
    return Steps(steps, left)


def _ways(
    starts: list[Any], containers: set[int]
) -> Iterator[tuple[Any, tuple[Step, ...]]]:
    """The objects that functions reach, each with the steps that lead there.

    Args:
        starts: the functions.
        containers: takes the identities of what was stepped through by its items.
    """
    queue: deque[tuple[Any, tuple[Step, ...]]] = deque(
        [(start, ()) for start in starts]
    )
    seen = set(map(id, starts))
    names: set[str] = set()
    while queue and len(seen) < _MOST:
        value, path = queue.popleft()
        if is_object(value):
            yield value, path
            continue
        if len(path) >= _DEPTH:
            continue
        for container, key, child in below(value, names):
            if id(child) not in seen:
                seen.add(id(child))
                step = () if container is None else (Step(container, key, child),)
                queue.append((child, path + step))
                if container is value:
                    containers.add(id(value))


def reads_of(function: Any) -> tuple[Any, ...] | None:
    """What a function finds in all the ways that are followed, to be compared later.

    Numbers and texts compare by value, all else by identity.

    Args:
        function: the user's function.

    Returns:
        What it finds; None where that is too much to look at.
    """
    names: set[str] = set()
    found, early = _reads(function, names)
    # An object was met before the code that says which attributes of its are read.
    return _reads(function, names)[0] if early else found


def _reads(function: Any, names: set[str]) -> tuple[tuple[Any, ...] | None, bool]:
    """What a function finds, and whether code that came later names anything else."""
    found: list[Any] = []
    queue: deque[tuple[Any, int]] = deque([(function, 0)])
    seen = {id(function)}
    fewest = -1
    while queue:
        value, depth = queue.popleft()
        if depth > _DEPTH or _is_state(value):
            continue
        if fewest < 0 and _has_attributes(value):
            fewest = len(names)
        for container, _, child in below(value, names):
            if type(child) in BY_VALUE:
                found.append(static_key(child))
            elif isinstance(child, (np.ndarray, *BUFFERS)):
                found.append(_content_key(child))
            elif container is not None:
                found.append(Same(child))
            if len(found) > TOO_MANY:
                return None, False
            if type(child) not in BY_VALUE and id(child) not in seen:
                seen.add(id(child))
                queue.append((child, depth + 1))
    return tuple(found), 0 <= fewest < len(names)


def _is_state(value: Any) -> bool:
    return is_object(value) or is_array(value)


def _has_attributes(value: Any) -> bool:
    """Whether a value is no function, or one with attributes of its own."""
    return not isinstance(value, FunctionType) or bool(vars(value))


def _content_key(value: Any) -> tuple:
    """What an array of NumPy's, or another buffer, holds, which may be edited there."""
    if not isinstance(value, np.ndarray) or value.nbytes > _LARGE:
        return type(value), *step_of_values(value).value
    content = value.tobytes()
    note_array(value, content)
    return value.dtype, value.shape, content


class Same:
    """Compares by identity; keeps alive only what cannot be referred to weakly."""

    __slots__ = ("_id", "_ref")

    def __init__(self, value: Any):
        self._id = id(value)
        try:
            self._ref: Any = weakref.ref(value)
        except TypeError:
            self._ref = lambda: value

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Same):
            return False
        # A dead object differs from all: another may have its place.
        return self._id == other._id and self._ref() is other._ref() is not None


def _name(step: Step) -> Any:
    return None if isinstance(step.container, SETS) else step.key


def unfollowed_warning(function: Any, objects: list[Any]) -> OakumWarning:
    """The warning of captured state that a call cannot find again without a trace."""
    kinds = sorted({type(obj).__name__ for obj in objects})
    name = getattr(function, "__name__", "the function")
    return OakumWarning(
        f"{name} captures state ({', '.join(kinds)}) in a way that cannot be looked at "
        "again, so each call traces the function anew.",
        remedy=f"pass it as an argument: {name}(model, ...).",
    )


def seal(captured: tuple, arguments: tuple) -> None:
    """Makes read-only what no argument reaches: its writes would surprise a caller."""
    encoder = Encoder()
    encoder.visit(arguments)
    passed = len(encoder.objects)
    encoder.visit(captured)
    for obj in encoder.objects[passed:]:
        seal_object(obj)
