"""What stands directly below a value: the ways from a function to what it captures.

Followed are closures, defaults, globals, items, attributes, slots, properties, modules
and classes; of classes and modules, what the code on the way names.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from ..._statics import is_installed, mentioned_names
from ._steps import MANY, ROWS, SETS, context_value

_MAPPINGS = (dict, MappingProxyType)
_HOOKS = (
    "__getattr__",
    "__getattribute__",
    "__getitem__",
    "__call__",
    "__iter__",
    "__get__",
)

# Objects whose parts are theirs for good.
_WHOLE: dict[type, Callable[[Any], tuple]] = {
    MethodType: lambda method: (method.__self__, method.__func__),
    functools.partial: lambda partial: (partial.func, *partial.args, partial.keywords),
    property: lambda found: (found.fget,),
    staticmethod: lambda found: (found.__func__,),
    classmethod: lambda found: (found.__func__,),
    weakref.ref: lambda ref: (ref(),),
}


def below(value: Any, names: set[str]) -> Iterator[tuple[Any, Any, Any]]:
    """What stands directly below a value: container, key and child.

    The container is None where the child cannot be replaced.
    """
    for kind, parts in _WHOLE.items():
        if isinstance(value, kind):
            yield from [(None, None, child) for child in parts(value)]
            return
    if isinstance(value, FunctionType):
        yield from _of_function(value, names)
    elif isinstance(value, contextvars.ContextVar):
        yield value, None, context_value(value)
    elif isinstance(value, ModuleType):
        if not is_installed(value.__name__):
            yield from _named(vars(value), names)
        elif value is os and names.intersection(("environ", "getenv")):
            yield None, None, os.environ
    elif isinstance(value, type):
        yield from _of_class(value, names)
    else:
        yield from _of_items(value)
        yield from _of_object(value, names)


def _of_items(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    if isinstance(value, tuple):
        for child in value:
            yield None, None, child
    elif isinstance(value, ROWS):
        yield from [(value, i, value[i]) for i in range(min(len(value), MANY))]
    elif isinstance(value, _MAPPINGS):
        yield from [(value, k, value[k]) for k in list(value)[:MANY]]
    elif isinstance(value, SETS):
        yield from [(value, tuple(value), child) for child in list(value)[:MANY]]


def _of_object(value: Any, names: set[str]) -> Iterator[tuple[Any, Any, Any]]:
    kind = type(value)
    inner = getattr(value, "__dict__", None)
    if isinstance(inner, dict):
        yield from [(inner, key, child) for key, child in list(inner.items())]
    if is_installed(kind.__module__):
        return
    for base in kind.__mro__:
        for name, item in list(vars(base).items()):
            if inspect.ismemberdescriptor(item) and hasattr(value, name):
                yield value, name, getattr(value, name)
    yield from _of_class(kind, names)


def _of_class(kind: type, names: set[str]) -> Iterator[tuple[Any, Any, Any]]:
    own = [vars(base) for base in kind.__mro__ if not is_installed(base.__module__)]
    hooks = [space[name] for space in own for name in _HOOKS if name in space]
    for hook in hooks:
        if isinstance(hook, FunctionType):
            names.update(mentioned_names(hook.__code__))
            yield None, None, hook
    for space in own:
        yield from _named(space, names)


def _named(space: Any, names: set[str]) -> Iterator[tuple[Any, Any, Any]]:
    """What stands in a namespace under a name that the code mentions."""
    for name in sorted(names.intersection(space)):
        yield space, name, space[name]


def _of_function(
    function: FunctionType, names: set[str]
) -> Iterator[tuple[Any, Any, Any]]:
    for cell in function.__closure__ or ():
        try:
            yield cell, None, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    space = function.__globals__
    if not is_installed(space.get("__name__")):
        mentioned = mentioned_names(function.__code__)
        names.update(mentioned)
        yield from _named(space, set(mentioned))
        for name in mentioned:
            if name not in space and name in sys.modules and not is_installed(name):
                yield sys.modules, name, sys.modules[name]
    for name in ("__defaults__", "__kwdefaults__", "__wrapped__"):
        if (child := getattr(function, name, None)) is not None:
            yield function, name, child
    yield from _named(vars(function), names)
