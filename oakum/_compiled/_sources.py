"""Where a function finds the state that it captures.

`jit` makes captured state an input, and remembers the objects. When the name, attribute
or item under which the function found an object holds another one, what was remembered
is wrong. So the steps from the function to each object are kept, and a call compares
them: some 0.1 us for each step, and only where something was captured.
"""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Iterator
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from .._graph import Encoder
from .._guard import resolve
from .._objects import global_names, is_object

_MANY = 256  # items of a list or dict that are looked through
_DEPTH = 6


class Step(NamedTuple):
    """One step: a namespace, list, dict or closure cell, and what it held."""

    container: Any
    key: Any
    value: Any

    def holds(self) -> bool:
        """Whether the value is still there."""
        container = self.container
        try:
            if type(container) is CellType:
                return container.cell_contents is self.value
            return container[self.key] is self.value
        except (LookupError, ValueError):
            return False


def steps_to(function: Any, captured: list[Any]) -> list[Step]:
    """The steps by which a function reaches objects.

    Args:
        function: the user's function.
        captured: nodes and Variables that it read, though they are no arguments.
    """
    wanted = {id(o) for obj in captured for o in (obj, resolve(obj))}
    kept: dict[tuple[int, Any], Step] = {}
    queue: deque[tuple[Any, tuple[Step, ...]]] = deque([(function, ())])
    seen = {id(function)}
    while queue:
        value, path = queue.popleft()
        if is_object(value):
            encoder = Encoder()
            encoder.visit(value)
            if wanted & set(map(id, encoder.objects)):
                kept |= {(id(step.container), step.key): step for step in path}
            continue
        if len(path) >= _DEPTH:
            continue
        for container, key, child in _below(value):
            if id(child) not in seen:
                seen.add(id(child))
                step = () if container is None else (Step(container, key, child),)
                queue.append((child, path + step))
    return list(kept.values())


def _below(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """What stands directly below a value: container, key and child.

    The container is None where the child cannot be replaced.
    """
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, MethodType):
        yield None, None, value.__self__
        yield None, None, value.__func__
    elif isinstance(value, functools.partial):
        for child in (value.func, *value.args, *value.keywords.values()):
            yield None, None, child
    elif type(value) is tuple:
        for child in value:
            yield None, None, child
    elif type(value) is list:
        yield from [(value, i, child) for i, child in enumerate(value[:_MANY])]
    elif type(value) is dict:
        yield from [(value, k, value[k]) for k in list(value)[:_MANY]]
    elif not isinstance(value, type | ModuleType) and hasattr(value, "__dict__"):
        inner = vars(value)
        yield from [(inner, key, child) for key, child in list(inner.items())]
        if not isinstance(inner.get("__wrapped__"), FunctionType) and callable(value):
            method = inspect.getattr_static(type(value), "__call__", None)
            if isinstance(method, FunctionType):
                yield None, None, method


def _of_function(function: FunctionType) -> Iterator[tuple[Any, Any, Any]]:
    for cell in function.__closure__ or ():
        try:
            yield cell, None, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    for name in global_names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__, name, function.__globals__[name]
    for child in function.__defaults__ or ():
        yield None, None, child
    for child in (function.__kwdefaults__ or {}).values():
        yield None, None, child
    if hasattr(function, "__wrapped__"):
        yield None, None, function.__wrapped__
