"""Traced values that a function leaves in what it captures and is no object of oakum.

Such are the program's own lists, dicts and objects, and names of functions around it or
of modules. Nobody sees an edit of one as it happens, nor is it compared with what it
was: a value is known by its trace, which ends with the function.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from jax.core import Tracer

from .. import _guard as guard
from .._compat import trace_of
from .._guard import ROOT, Frame
from .._guard._contents import ENDS
from .._objects import WithDict, is_object, own_dict
from .._statics import global_names, is_installed

_MOST = 256  # values that are looked at
_MANY = 64  # items of one, the last ones
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_CODE = (*_FUNCTIONS, types.ModuleType, type)
_OF_PROGRAMS = ("builtins", "collections", "types")  # what programs hold values in
_quiet: set[type] = set()
"""Classes below whose values nothing of a program's own stands, so far as was asked."""


def tell_left_behind(frame: Frame) -> None:
    """Tells of a value of a trace that is about to end, and goes on to be held.

    Args:
        frame: the transform that runs in it.
    """
    outer = frame.outer[-1].mark if frame.outer else ROOT
    if frame.mark == outer or guard.context.levels["lost"] == "off":
        return
    for path, holder, value, function in _traced_values(frame.function):
        if trace_of(value) == frame.mark:
            kind = "" if isinstance(holder, _CODE) else type(holder).__name__
            return guard.tell_left_behind(path, kind, frame.transform, function)
    return None


def _traced_values(start: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """The traced values that a function reaches, the nearest first.

    Yields:
        The name of each, what holds it, itself, and the first function on the way
        that is the program's own.
    """
    waiting: deque[tuple[str, Any]] = deque([("", start)])
    seen: set[int] = set()
    function = None
    while waiting and len(seen) < _MOST:
        name, value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if function is None and isinstance(value, types.FunctionType):
            own = not is_installed(value.__globals__.get("__name__"))
            function = value if own else None
        for key, child in _below(value):
            if type(child) in _quiet or _ends(child):
                continue
            path = key if isinstance(value, _FUNCTIONS) else name + key
            if isinstance(child, Tracer):
                yield path, value, child, function
            else:
                waiting.append((path, child))


def _ends(value: Any) -> bool:
    """Whether nothing of a program's own stands below a value."""
    if isinstance(value, _FUNCTIONS):
        return False
    if isinstance(value, types.ModuleType):
        return is_installed(value.__name__)
    if isinstance(value, type):
        return is_installed(value.__module__)
    home = type(value).__module__
    library = is_installed(home) and home not in _OF_PROGRAMS
    if isinstance(value, (Tracer, WithDict)) or not (
        library or is_object(value) or isinstance(value, ENDS)
    ):
        return False
    _quiet.add(type(value))
    return True


def _below(value: Any) -> Iterator[tuple[str, Any]]:
    """What stands below a value, each as it is written after the value's own name."""
    if isinstance(value, _FUNCTIONS):
        yield from _of_callable(value)
    elif isinstance(value, WithDict):  # its other attributes are seen
        own = list(own_dict(value).items())
        yield from [(f".{k}", child) for k, child in own if isinstance(child, Tracer)]
        return
    elif isinstance(value, (dict, list, tuple, deque, set)):
        yield from _of_items(value)
    else:
        own = getattr(value, "__dict__", {})
        yield from [(f".{key}", child) for key, child in list(own.items())]
    for name in getattr(type(value), "__slots__", ()):
        if type(name) is str and hasattr(value, name):
            yield f".{name}", getattr(value, name)


def _of_callable(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, types.FunctionType):
        yield from _of_function(value)
    elif isinstance(value, types.MethodType):
        yield "self", value.__self__
        yield "", value.__func__
    else:
        yield "", value.func
        yield from [(f"args[{i}]", child) for i, child in enumerate(value.args)]
        yield from value.keywords.items()


def _of_items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        last = islice(reversed(value.items()), _MANY)
        yield from [(f"[{key!r:.40}]", child) for key, child in list(last)]
    elif isinstance(value, set):
        yield from [("", child) for child in islice(value, _MANY)]
    else:
        last = range(max(len(value) - _MANY, 0), len(value))
        yield from [(f"[{i}]", value[i]) for i in last]


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    space, code = function.__globals__, function.__code__
    installed = is_installed(space.get("__name__"))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            held = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if not installed or isinstance(held, _FUNCTIONS):
            yield name, held
    if installed:
        return
    yield from [(name, space[name]) for name in global_names(code) if name in space]
    yield from [("", child) for child in function.__defaults__ or ()]
    yield from (function.__kwdefaults__ or {}).items()
    if (wrapped := getattr(function, "__wrapped__", None)) is not None:
        yield "", wrapped
