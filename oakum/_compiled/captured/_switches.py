"""What decides which state a jitted function finds, beside the way to what it captures.

A list that was empty when the function was traced, a name that was None, a flag that
picks one of two models: no step leads from them to state, so that `_sources` does not
look at them. They are looked at here, some 0.1 us for each in a call, and what was
compiled is known by what they held.
"""

from __future__ import annotations

import enum
import warnings
from collections import deque
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..._objects import is_object
from ..._statics import is_installed, static_key
from ...errors import OakumWarning
from ._below import below
from ._drawn import position, tell_drawn
from ._numbers import numbers_of
from ._sources import Same
from ._steps import ANY, BY_VALUE, GROWING, NAMES, TOO_MANY, VALUES, Step, names_in
from ._values import is_constant

_MANY_TRACES = 8
_KEPT = 8  # programs of other values that are kept
_MOST = 64  # switches that are looked at in each call
_READ_ALL = frozenset(("vars", "__dict__", "dir"))  # whose readers name no attribute


def switches_of(function: Any) -> list[Step]:
    """What decides which state a function finds, beside the way to what it captures.

    That are lists and dicts, the names in dicts and of attributes, and what holds None,
    a text, a bool or a member of an Enum; of attributes and items, those that the code
    on the way names. Other numbers are no switches: a program may count where a
    function reads an attribute of that name of something else, and would be traced
    anew in each call.

    Args:
        function: the user's function.
    """
    names: set[str] = set()
    _Search(names).through(function)  # it may meet an object before its reader's code
    search = _Search(names)
    search.through(function)
    switches = list(search.found.values())
    # First of all, what may be there already.
    read = frozenset(names) if names.isdisjoint(_READ_ALL) else None
    steps = switches + [names_in(space, read) for space in search.spaces.values()]
    steps = switches if len(steps) > _MOST else steps
    return steps if len(steps) <= _MOST else []


class _Search:
    """A walk over all that a function reaches.

    Args:
        names: takes those of attributes that the code on the way names.

    Attributes:
        found: the switches, by container and key.
        spaces: the dicts that may get further names, by identity.
    """

    def __init__(self, names: set[str]):
        self.found: dict[tuple[int, Any], Step] = {}
        self.spaces: dict[int, dict] = {}
        self._names = names
        self._queue: deque[Any] = deque()
        self._seen: set[int] = set()

    def through(self, function: Any) -> None:
        """Looks through all that a function reaches.

        Args:
            function: where to start.
        """
        self._add(function)
        while self._queue and len(self._seen) < TOO_MANY:
            value = self._queue.popleft()
            if is_object(value):
                continue
            if not _is_of_library(value):
                self._look_at(value)
            else:  # it may run a function of the program's
                inner = getattr(value, "__wrapped__", None)
                if isinstance(inner, FunctionType):
                    self._add(inner)

    def _add(self, value: Any) -> None:
        if id(value) not in self._seen:
            self._seen.add(id(value))
            self._queue.append(value)

    def _look_at(self, value: Any) -> None:
        names = self._names
        if isinstance(value, GROWING):
            self.found[id(value), ANY] = Step(value, ANY, None).of_items()
        if (space := _space_of(value)) is not None:
            self.spaces[id(space)] = space
        for container, key, child in below(value, names):
            if container is None or _is_read(value, container, key, names):
                named = container is not value or (type(key) is str and key in names)
                if container is not None and _is_switch(child, named):
                    self.found[id(container), key] = Step(container, key, child)
                elif type(child) not in BY_VALUE:
                    self._add(child)


def _space_of(value: Any) -> dict | None:
    """A dict, or the attributes of an object that is a mere holder of such."""
    if type(value) is dict:
        return value
    if isinstance(value, (type, FunctionType, MethodType, ModuleType, *GROWING)):
        return None
    own = getattr(value, "__dict__", None)
    return own if type(own) is dict else None


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


class Beside:
    """What a jitted function reads beside its arguments, and is compiled in.

    Args:
        function: the user's function.

    Attributes:
        steps: what a call looks at.
    """

    def __init__(self, function: Any):
        self.steps: list[Step] = []
        self._function = function
        self._known = False
        self._drawn: list[tuple[Any, Any]] = []  # iterators, and where they stood
        self._edited: set[tuple] = set()  # numbers that its own runs edit
        self._anew = 0

    def holds(self) -> bool:
        """Whether all is as it was; else it is looked for anew."""
        if not all(map(Step.holds, self.steps)):
            self._known = False
        return self._known

    def forget(self) -> None:
        """Has it looked for anew, as what is found there may be other objects."""
        self._known = False

    def values(self) -> tuple:
        """What it holds now, to find what was compiled with these values."""
        if not self._known:
            self.steps, self._known = self._find(), True
        return tuple(map(_held, self.steps))

    def renew(self) -> None:
        """After a trace, whose own edits are none that the next call is to see."""
        tell_drawn(self._function, self._drawn)
        self._edited.update(
            [
                step.place
                for step in self.steps
                if (step.key is VALUES or type(step.value) in BY_VALUE)
                and not step.holds()
            ]
        )
        self.steps, self._known = self._find(), True

    def _find(self) -> list[Step]:
        switches = switches_of(self._function)
        known = {step.place for step in switches}
        numbers, drawn = numbers_of(self._function, self._edited)
        self._drawn = [(one, position(one)) for one in drawn]
        return switches + [step for step in numbers if step.place not in known]

    def other_entries(self, key: tuple, entries: dict) -> list:
        """The keys of what was compiled for other values, beyond the few that are kept.

        It tells, once, where there come ever more of them.

        Args:
            key: the key of what is about to be compiled; the values are its last.
            entries: what was compiled, by such keys.
        """
        others = [k for k in entries if k[:-1] == key[:-1] and k != key]
        self._anew += bool(others)
        if self._anew == _MANY_TRACES:
            pairs = set(key[-1]) ^ set(others[-1][-1])
            names = sorted({name for name, _ in pairs if type(name) is str})
            what = ", ".join(names) or "a name of the functions around it"
            name = getattr(self._function, "__name__", "the function")
            warnings.warn(
                OakumWarning(
                    f"{name} was traced anew {_MANY_TRACES} times, as what it reads "
                    f"beside its arguments changed: {what}",
                    remedy=f"pass it as an argument, as an array: {name}(..., value).",
                ),
                stacklevel=7,
            )
        return others[:-_KEPT]


def _held(step: Step) -> tuple:
    if step.key is ANY:
        return None, len(step.beside)
    if step.key is NAMES:
        return step.key, step.value[1]
    if step.key is VALUES:
        return step.key, step.value
    if isinstance(step.value, enum.Enum):
        return step.key, step.value
    known = type(step.value) in BY_VALUE or isinstance(step.value, np.generic)
    known = known or is_constant(step.value)
    return step.key, static_key(step.value) if known else Same(step.value)
