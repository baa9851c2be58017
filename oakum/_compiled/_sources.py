"""Where a function finds the state that it captures.

`jit` makes captured state an input, and remembers the objects. When the name, attribute
or item under which the function found an object holds another one, what was remembered
is wrong. So the steps from the function to each object are kept, and a call compares
them: some 0.1 us for each step, and only where something was captured.

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
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import call, is_
from types import CellType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

from .._graph import NODE, STATIC, TREE, Encoder
from .._guard import resolve
from .._guard import seal as seal_object
from .._objects import is_array, is_object
from .._statics import is_installed, mentioned_names, static_key
from ..errors import OakumWarning

_FEW = 8  # items that are looked at in each call where none of them is state
_MANY = 4096  # items of a list or dict that are looked through
_MOST = 50_000  # values that are looked at in all
_DEPTH = 24
TOO_MANY = 2000  # values to be compared in each call
BY_VALUE = frozenset((int, float, complex, bool, str, bytes, type(None)))
_MISSING: Any = object()
ANY: Any = object()  # the key of a step to a list or dict, whatever it holds
_MAPPINGS = (dict, MappingProxyType)
_ROWS = (list, deque)
_SETS = (set, frozenset)
GROWING = (dict, list, deque)
_HOOKS = ("__getattr__", "__getattribute__", "__getitem__", "__call__", "__iter__")


class Step(NamedTuple):
    """One step: a namespace, container, closure cell or object, and what it held.

    Attributes:
        container, key, value: where it was found.
        size: how many items a list or dict had, through which the function may go; -1
            for a namespace, where other names have nothing to do with it.
        beside: which of them may be state.
    """

    container: Any
    key: Any
    value: Any
    size: int = -1
    beside: tuple[int, ...] = ()

    def of_items(self) -> Step:
        """The step from a list or dict itself, with what else it holds."""
        size, beside = len(self.container), _states_in(self.container)
        return self._replace(size=size, beside=beside)

    def renewed(self) -> Step:
        """The step with what stands beside the value now."""
        return self if self.size < 0 else self.of_items()

    def holds(self) -> bool:
        """Whether the value is still there."""
        try:
            return self._holds()
        except (LookupError, ValueError, RuntimeError):
            return False

    def reads(self) -> Iterator[tuple[Callable[[], Any], Any]]:
        """Reads, in C where they can be, and what each gives while the step holds.

        Items are read one by one where they are few numbers or texts: to keep others
        would keep state alive.
        """
        container, size = self.container, self.size
        if size < 0 and isinstance(container, dict):
            yield functools.partial(dict.get, container, self.key), self.value
        elif size < 0 and type(container) is CellType:
            yield functools.partial(getattr, container, "cell_contents"), self.value
        elif self.key is ANY and type(container) in (list, dict) and size <= _FEW:
            rows = (
                enumerate(container) if type(container) is list else container.items()
            )
            pairs = list(rows)
            if len(pairs) != size or any([type(v) not in BY_VALUE for _, v in pairs]):
                yield self.holds, True
                return
            yield container.__len__, size
            for key, value in pairs:
                yield functools.partial(container.__getitem__, key), value
        else:
            yield self.holds, True

    def _holds(self) -> bool:
        container = self.container
        if self.size >= 0:
            near = self.key is ANY and self.size <= _FEW
            other = near or len(container) != self.size
            if other and _states_in(container) != self.beside:
                return False
        if self.key is ANY:
            return True
        if isinstance(container, dict):
            return dict.get(container, self.key, _MISSING) is self.value
        if type(container) is CellType:
            return container.cell_contents is self.value
        if isinstance(container, _SETS):
            held = self.key
            return len(container) == len(held) and all(map(is_, container, held))
        if isinstance(container, (MappingProxyType, *_ROWS)):
            return container[self.key] is self.value
        if isinstance(container, contextvars.ContextVar):
            return container.get(_MISSING) is self.value
        return getattr(container, self.key, _MISSING) is self.value


def look_at(steps: Sequence[Step]) -> Callable[[], bool] | None:
    """What tells, in 0.1 us for each read, that all steps hold; None without steps.

    Where it tells nothing, as an item that is no state was replaced, they are asked.
    """
    pairs = [pair for step in steps for pair in step.reads()]
    reads, values = [read for read, _ in pairs], [value for _, value in pairs]

    def look() -> bool:
        try:
            return all(map(is_, map(call, reads), values))
        except (LookupError, ValueError, RuntimeError):
            return False

    return look if reads else None


class Steps(NamedTuple):
    """The steps to what a function captures, and what none of them leads to."""

    steps: list[Step]
    unfollowed: list[Any]


def _states_in(container: Any) -> tuple[int, ...]:
    """The identities of the items in which there may be state."""
    if len(container) > TOO_MANY:
        return ()
    items = container.values() if isinstance(container, dict) else container
    return tuple([id(item) for item in items if _may_hold_state(item)])


def _may_hold_state(item: Any, deep: bool = True) -> bool:
    if type(item) in BY_VALUE or is_array(item):
        return False
    if is_object(item) or callable(item):
        return True
    if isinstance(item, (tuple, *GROWING)):
        items = item.values() if isinstance(item, dict) else item
        return any(map(_may_hold_state, islice(items, _MANY)))
    own = getattr(item, "__dict__", None)
    return deep and bool(own) and any([_may_hold_state(x, False) for x in own.values()])


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
    queue: deque[tuple[Any, tuple[Step, ...]]] = deque(
        [(start, ()) for start in starts]
    )
    seen = set(map(id, starts))
    names: set[str] = set()
    containers: set[int] = set()
    while queue and len(seen) < _MOST:
        value, path = queue.popleft()
        if is_object(value):
            encoder = Encoder()
            encoder.visit(value)
            found = wanted & set(map(id, encoder.objects))
            if found:
                reached |= found
                kept |= {(id(step.container), _name(step)): step for step in path}
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


def reads_of(function: Any) -> tuple[Any, ...] | None:
    """What a function finds in all the ways that are followed, to be compared later.

    Numbers and texts compare by value, all else by identity.

    Args:
        function: the user's function.

    Returns:
        What it finds; None where that is too much to look at.
    """
    found: list[Any] = []
    queue: deque[tuple[Any, int]] = deque([(function, 0)])
    seen = {id(function)}
    names: set[str] = set()
    while queue:
        value, depth = queue.popleft()
        if is_object(value) or is_array(value) or depth > _DEPTH:
            continue
        for container, _, child in below(value, names):
            if type(child) in BY_VALUE:
                found.append(static_key(child))
            elif container is not None:
                found.append(Same(child))
            if len(found) > TOO_MANY:
                return None
            if type(child) not in BY_VALUE and id(child) not in seen:
                seen.add(id(child))
                queue.append((child, depth + 1))
    return tuple(found)


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
    return None if isinstance(step.container, _SETS) else step.key


def below(value: Any, names: set[str]) -> Iterator[tuple[Any, Any, Any]]:
    """What stands directly below a value: container, key and child.

    The container is None where the child cannot be replaced.
    """
    if isinstance(value, FunctionType):
        yield from _of_function(value, names)
    elif isinstance(value, MethodType):
        yield None, None, value.__self__
        yield None, None, value.__func__
    elif isinstance(value, functools.partial):
        for child in (value.func, *value.args, value.keywords):
            yield None, None, child
    elif isinstance(value, property):
        yield None, None, value.fget
    elif isinstance(value, weakref.ref):
        yield None, None, value()
    elif isinstance(value, contextvars.ContextVar):
        yield value, None, value.get(None)
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
    elif isinstance(value, _ROWS):
        yield from [(value, i, value[i]) for i in range(min(len(value), _MANY))]
    elif isinstance(value, _MAPPINGS):
        yield from [(value, k, value[k]) for k in list(value)[:_MANY]]
    elif isinstance(value, _SETS):
        yield from [(value, tuple(value), child) for child in list(value)[:_MANY]]


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
