"""The numbers, texts and arrays that a jitted function reads beside its arguments.

They are compiled in, which is wrong as soon as their name, attribute or item holds
another. So what the code reads is followed: from a name of an enclosing function, a
global, a default or a method's object, by attributes and constant items, into the
functions that it calls. To take every attribute of a mentioned name for read would not
do: where a program counts in one of that name, each call would be traced anew.
"""

from __future__ import annotations

import contextlib
import contextvars
import enum
import functools
import sys
import weakref
from collections import deque
from collections.abc import Container
from itertools import islice
from types import (
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..._objects import is_object
from ..._statics import is_installed, mentioned_names
from ._code import (
    ATTRIBUTE,
    CELL,
    EDIT_ATTRIBUTE,
    EDIT_ITEM,
    GLOBAL,
    ITEM,
    KEEP,
    LOCAL,
    MODULE,
    bound_anew,
    kept_once,
    operations,
)
from ._drawn import is_drawn_from
from ._steps import BUFFERS, BY_VALUE, Step, context_value, step_of_values

_MOST = 64  # that are looked at in each call
_MANY = 1000  # functions, and objects of others, that are looked through
_FEW = 64  # items of a list that are looked at together
_OF_WRAPPERS = ("__wrapped__", "fwd", "bwd")  # `custom_vjp` has a derivative, too
_COMPARED = (
    *(int, float, complex, np.generic, jax.Array, np.ndarray),
    *(str, bytes, enum.Enum, type(None)),
)
_HOLDERS = (list, dict, deque, set, frozenset, tuple, MappingProxyType)
_ROWS = (list, deque, dict)
_HOOKS = frozenset(
    (
        *("__call__", "__getitem__", "__iter__", "__len__", "__float__", "__int__"),
        *("__array__", "__jax_array__", "__add__", "__radd__", "__mul__", "__rmul__"),
        *("__index__", "__bool__", "__enter__", "__contains__", "__getattr__"),
    )
)
_READING = frozenset(("copy", "count", "get", "index", "items", "keys", "values"))
_NOTHING: Any = object()


def numbers_of(function: Any, edited: Container[tuple]) -> tuple[list[Step], list[Any]]:
    """The steps to numbers and arrays that a function reads, and iterators it uses.

    Args:
        function: the user's function.
        edited: container and key of what its own runs edit, such as a count of traces.
    """
    reader = _Reader()
    reader.use(function)
    looked = -1
    while reader.queue or looked < len(reader.loose) < _MANY:
        looked = len(reader.loose)
        while reader.queue and len(reader.seen) < _MANY:
            reader.read_function(*reader.queue.popleft())
        reader.queue.clear()
        # What an attribute of theirs leads to may mention others.
        for value in list(reader.loose):
            reader.read_mentioned(value)
    steps = [
        step
        for step, kind in reader.found.values()
        if not reader.edits(step, kind) and step.place not in edited
    ]
    # Methods last, which few programs bind anew.
    steps = sorted(steps, key=lambda s: isinstance(s.container, type))[:_MOST]
    return steps, reader.drawn


def is_constant(value: Any) -> bool:
    """Whether a value is a tuple of numbers and texts, which compares by value."""
    return isinstance(value, tuple) and all(
        [type(item) in BY_VALUE or is_constant(item) for item in value]
    )


class _Reader:
    """What was found so far.

    Attributes:
        found: the steps, by container and key, and by what operation each is read.
        queue: functions to be looked at, each with its first arguments.
        seen: what was looked at, by identity; kept, so that no other gets that.
        drawn: iterators.
        loose: objects of others that are handed on: which attributes of them are read
            is not known.
        mentioned: the attributes that code reads of anything, and its short texts.
        way: by its identity, the step to a value that is no number.
        owner: the object or function that has a container, by identity.
        set_names: those that it sets.
        set_items: the lists and dicts whose items it sets, by identity.
        bound: globals and cells that it binds, by container and key.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[int, Any], tuple[Step, int]] = {}
        self.queue: deque[tuple[FunctionType, tuple]] = deque()
        self.seen: dict[Any, Any] = {}
        self.loose: list[Any] = []
        self.drawn: list[Any] = []
        self.mentioned: set[str] = set()
        self.way: dict[int, tuple[Step, int]] = {}
        self.owner: dict[int, Any] = {}
        self.set_names: set[str] = set()
        self.set_items: set[int] = set()
        self.bound: set[tuple[int, Any]] = set()

    def edits(self, step: Step, kind: int) -> bool:
        """Whether the code itself edits what a step leads to."""
        if kind == ATTRIBUTE:
            return step.key in self.set_names
        if kind == ITEM:
            return id(step.container) in self.set_items
        return step.place in self.bound

    # -- code

    def read_function(self, function: FunctionType, first: tuple) -> None:
        """Reads the code of a function, and of those that are defined in it.

        Args:
            function: the function.
            first: its first arguments, so far as they are known.
        """
        code, space = function.__code__, function.__globals__
        cells: dict[str, Any] = dict(
            zip(code.co_freevars, function.__closure__ or (), strict=True)
        )
        self.owner |= {id(cell): function for cell in cells.values()}
        self.mentioned.update(mentioned_names(code))
        names = code.co_varnames[: code.co_argcount]
        known = dict(zip(names, first, strict=False))
        defaults = function.__defaults__ or ()
        if defaults:
            known = dict(zip(names[-len(defaults) :], defaults, strict=True)) | known
        known |= function.__kwdefaults__ or {}
        self._read_code(code, cells, space, known)
        if (wrapped := getattr(function, "__wrapped__", None)) is not None:
            self.use(wrapped)

    def _read_code(self, code: CodeType, cells: dict, space: dict, known: dict) -> None:
        self._note_bound(code, cells, space)
        value = _NOTHING
        once = kept_once(code)
        for kind, name in operations(code):
            if kind == ATTRIBUTE:
                value = self._attribute(value, name)
            elif kind == ITEM:
                value = self._item(value, name)
            elif kind == EDIT_ATTRIBUTE:
                self.set_names.add(name)
                value = _NOTHING
            elif kind == KEEP and name in once:
                known[name] = value
                value = _NOTHING
            else:
                if kind == EDIT_ITEM:
                    self.set_items.add(id(value))
                elif value is not _NOTHING:
                    self.use(value)
                value = self._named(kind, name, cells, space, known)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                around = {n: known[n] for n in inner.co_freevars if n in known}
                self._read_code(inner, cells, space, around)

    def _note_bound(self, code: CodeType, cells: dict, space: dict) -> None:
        for name in bound_anew(code):
            self.bound.add(
                (id(cells.get(name, space)), None if name in cells else name)
            )

    def _named(
        self, kind: int, name: str, cells: dict, space: dict, known: dict
    ) -> Any:
        if kind == LOCAL or (kind == CELL and name in known):
            return known.get(name, _NOTHING)
        if kind == MODULE:
            return sys.modules.get(name, _NOTHING)
        if kind == GLOBAL and name in space:
            return self._found(space, name, space[name], GLOBAL)
        if kind == CELL and isinstance(cell := cells.get(name), CellType):
            try:
                return self._found(cell, None, cell.cell_contents, CELL)
            except ValueError:  # not bound yet
                return _NOTHING
        return _NOTHING

    def _found(self, container: Any, key: Any, value: Any, kind: int) -> Any:
        """What was read, which is noted where it is a number or an array."""
        step = Step(container, key, value)
        if isinstance(value, Tracer) or not isinstance(value, _COMPARED):
            self.way.setdefault(id(value), (step, kind))  # which keeps the value
            return value
        self._note(step, kind)
        if isinstance(value, np.ndarray):
            self._note(step_of_values(value), ITEM)
        return _NOTHING

    def _note(self, step: Step, kind: int) -> None:
        """Notes a step, and those that led to what has it."""
        while step.place not in self.found:
            self.found[step.place] = step, kind
            owner = self.owner.get(id(step.container), step.container)
            if id(owner) not in self.way:
                return
            step, kind = self.way[id(owner)]

    # -- what values have

    def _attribute(self, value: Any, name: str) -> Any:
        if value is _NOTHING or is_object(value):
            return _NOTHING
        if isinstance(value, tuple) and name in getattr(value, "_fields", ()):
            return self._item(value, value._fields.index(name))  # pyright: ignore
        if isinstance(value, _HOLDERS):
            return self._method_of_holder(value, name)
        if isinstance(value, ModuleType):
            return self._of_module(value, name)
        if isinstance(value, contextvars.ContextVar):
            return self._found(value, None, context_value(value), CELL)
        own = self._own(value)
        if name == "__dict__":
            return own
        if name in own:
            return self._found(own, name, own[name], ATTRIBUTE)
        for base in _class_of(value).__mro__:
            if name in vars(base):
                return self._of_class(value, name, vars(base)[name])
        return self._computed(value, name)

    def _method_of_holder(self, value: Any, name: str) -> Any:
        if name in _READING or not hasattr(type(value), name):
            self.use(value)
        return _NOTHING

    def _of_module(self, module: ModuleType, name: str) -> Any:
        if is_installed(module.__name__) or name not in vars(module):
            return _NOTHING
        return self._found(vars(module), name, vars(module)[name], ATTRIBUTE)

    def _own(self, value: Any) -> dict:
        """The attributes of an object itself."""
        own = getattr(value, "__dict__", None)
        if type(own) is not dict:
            return {}
        self.owner[id(own)] = value
        return own

    def _of_class(self, value: Any, name: str, item: Any) -> Any:
        """An attribute that a class has for its objects."""
        if isinstance(item, property | functools.cached_property):
            getter = item.fget if isinstance(item, property) else item.func
            self._queue(getter, (value,))
        elif isinstance(item, FunctionType):
            if not is_installed(item.__module__):
                self._note(Step(_class_of(value), name, item), ATTRIBUTE)
            self._queue(item, () if isinstance(value, type) else (value,))
        elif isinstance(item, classmethod):
            self._queue(item.__func__, (_class_of(value),))
        elif isinstance(item, staticmethod):
            self._queue(item.__func__, ())
        elif isinstance(item, functools.partialmethod):
            self._queue(item.func, (value, *item.args))
        elif not isinstance(value, type) and hasattr(item, "__set__"):  # a slot
            held = getattr(value, name, _NOTHING)
            return self._found(value, name, held, ATTRIBUTE)
        elif not hasattr(item, "__get__"):
            return self._found(value, name, item, ATTRIBUTE)
        else:
            self._queue(type(item).__get__, (item, value, _class_of(value)))
        return _NOTHING

    def _computed(self, value: Any, name: str) -> Any:
        """What `__getattr__` gives, where that is the same each time."""
        if not hasattr(type(value), "__getattr__"):
            return _NOTHING
        try:
            held = getattr(value, name)
            same = getattr(value, name) is held
        except Exception:
            return _NOTHING
        return self._found(value, name, held, ATTRIBUTE) if same else _NOTHING

    def _item(self, value: Any, key: Any) -> Any:
        if not isinstance(value, _HOLDERS) or isinstance(value, set | frozenset):
            self.use(value)
            return _NOTHING
        try:
            held = value[key]
        except (LookupError, TypeError):
            return _NOTHING
        if not isinstance(value, tuple):
            return self._found(value, key, held, ITEM)
        if id(value) in self.way:
            self._note(*self.way[id(value)])
        return held

    # -- what is used as a whole

    def use(self, value: Any) -> None:
        """Looks at a value that is called, looped over or handed on.

        Args:
            value: the value.
        """
        if value is _NOTHING or is_object(value) or id(value) in self.seen:
            return
        if isinstance(value, (*BUFFERS, *_COMPARED)):
            if isinstance(value, (np.ndarray, *BUFFERS)):
                self._note(step_of_values(value), ITEM)
            return
        self.seen[id(value)] = value
        if isinstance(value, ModuleType):
            self.loose += [] if is_installed(value.__name__) else [value]
            return
        if id(value) in self.way and self.way[id(value)][1] != GLOBAL:
            self._note(*self.way[id(value)])
        self._use_by_kind(value)

    def _use_by_kind(self, value: Any) -> None:
        if isinstance(value, (FunctionType, MethodType, functools.partial)):
            self._use_function(value)
        elif isinstance(value, weakref.ref):
            self.use(value())
        elif isinstance(value, contextvars.ContextVar):
            self.use(self._found(value, None, context_value(value), CELL))
        elif isinstance(value, _HOLDERS):
            self._use_items(value)
        elif is_drawn_from(value):
            self.drawn.append(value)
        else:
            self._use_object(value)

    def _use_function(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            self._queue(value, ())
            self.loose += [value] if vars(value) else []
        elif isinstance(value, MethodType):
            self._queue(value.__func__, (value.__self__,))
            self.use(value.__self__)
        else:
            self._queue(value.func, value.args)
            for each in (value.func, *value.args):
                self.use(each)
            self._use_items(value.keywords)

    def _use_items(self, value: Any, empty: bool = False) -> None:
        items = _items_of(value)
        compared = [_is_compared(item) for item in islice(items, _FEW + 1)]
        some = any(compared) or (not value and (empty or isinstance(value, set)))
        if not isinstance(value, tuple) and some and len(compared) <= _FEW:
            self._note(step_of_values(value), ITEM)
        for item in list(islice(items, _FEW)):
            self.use(item)

    def _use_object(self, value: Any) -> None:
        kind = _class_of(value)
        for name in _OF_WRAPPERS:
            with contextlib.suppress(Exception):  # an attribute that a class computes
                self.use(getattr(value, name))
        if kind.__module__ == "collections":  # a ChainMap, UserDict, UserList
            for held in self._own(value).values():
                for items in held if type(held) is list else [held]:
                    if isinstance(items, _HOLDERS):
                        self._use_items(items, empty=True)
                self.use(held)
        if is_installed(kind.__module__) and kind.__module__ != "types":
            return
        self.loose.append(value)
        for base in () if value is kind else kind.__mro__:
            for name in _HOOKS.intersection(vars(base)):
                self._queue(vars(base)[name], (value,))

    def read_mentioned(self, value: Any) -> None:
        """Looks at the attributes of an object that code reads of anything."""
        bases = _class_of(value).__mro__
        own = [base for base in bases if not is_installed(base.__module__)]
        inner = vars(value) if isinstance(value, ModuleType) else self._own(value)
        for space in [inner, *map(vars, own)]:
            for name in self.mentioned.intersection(space):
                self.use(self._attribute(value, name))

    def _queue(self, function: Any, first: tuple) -> None:
        if not isinstance(function, FunctionType):
            return
        known = (id(function), *map(id, first))
        if known in self.seen:
            return
        self.seen[known] = first
        home = function.__globals__.get("__name__")
        if not is_installed(home):
            self.queue.append((function, first))
        elif (wrapped := getattr(function, "__wrapped__", None)) is not None:
            self.use(wrapped)


def _is_compared(item: Any) -> bool:
    """Whether an item of a list or dict is no state, but what is computed with."""
    if isinstance(item, _ROWS):  # of a table of numbers
        return any(
            [isinstance(x, (*_COMPARED, *_ROWS)) for x in islice(_items_of(item), _FEW)]
        )
    return isinstance(item, (*_COMPARED, FunctionType)) or is_constant(item)


def _items_of(value: Any) -> Any:
    return value.values() if isinstance(value, dict | MappingProxyType) else value


def _class_of(value: Any) -> type:
    """The class of an object, or a class itself."""
    return value if isinstance(value, type) else type(value)
