"""What code reads of its values: attributes, items, and values as a whole."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import weakref
from collections import deque
from itertools import islice
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..._objects import is_object
from ..._statics import is_installed
from ._code import ATTRIBUTE, CELL, ITEM
from ._drawn import is_drawn_from
from ._noted import COMPARED, NOTHING, Noted
from ._steps import BUFFERS, BY_VALUE, Step, context_value, step_of_values

_FEW = 64  # items of a list that are looked at together
_OF_WRAPPERS = ("__wrapped__", "fwd", "bwd")  # `custom_vjp` has a derivative, too
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


def is_constant(value: Any) -> bool:
    """Whether a value is a tuple of numbers and texts, which compares by value."""
    return isinstance(value, tuple) and all(
        [type(item) in BY_VALUE or is_constant(item) for item in value]
    )


class Values(Noted):
    """What code reads of values.

    Attributes:
        queue: functions to be looked at, each with its first arguments.
        seen: what was looked at, by identity; kept, so that no other gets that.
        drawn: iterators.
        loose: objects of others that are handed on: which attributes of them are read
            is not known.
        mentioned: the attributes that code reads of anything, and its short texts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[tuple[FunctionType, tuple]] = deque()
        self.seen: dict[Any, Any] = {}
        self.loose: list[Any] = []
        self.drawn: list[Any] = []
        self.mentioned: set[str] = set()

    # -- what they have

    def attribute(self, value: Any, name: str) -> Any:
        """An attribute that code reads, so far as it is known."""
        if value is NOTHING or is_object(value):
            return NOTHING
        if isinstance(value, tuple) and name in getattr(value, "_fields", ()):
            return self.item(value, value._fields.index(name))  # pyright: ignore
        if isinstance(value, _HOLDERS):
            return self._method_of_holder(value, name)
        if isinstance(value, ModuleType):
            return self._of_module(value, name)
        if isinstance(value, contextvars.ContextVar):
            return self.met(value, None, context_value(value), CELL)
        own = self.own(value)
        if name == "__dict__":
            return own
        if name in own:
            return self.met(own, name, own[name], ATTRIBUTE)
        for base in _class_of(value).__mro__:
            if name in vars(base):
                return self._of_class(value, name, vars(base)[name])
        return self._computed(value, name)

    def _method_of_holder(self, value: Any, name: str) -> Any:
        if name in _READING or not hasattr(type(value), name):
            self.use(value)
        return NOTHING

    def _of_module(self, module: ModuleType, name: str) -> Any:
        if is_installed(module.__name__) or name not in vars(module):
            return NOTHING
        return self.met(vars(module), name, vars(module)[name], ATTRIBUTE)

    def _of_class(self, value: Any, name: str, item: Any) -> Any:
        """An attribute that a class has for its objects."""
        if isinstance(item, property | functools.cached_property):
            getter = item.fget if isinstance(item, property) else item.func
            self._queue(getter, (value,))
        elif isinstance(item, FunctionType):
            if not is_installed(item.__module__):
                self.note(Step(_class_of(value), name, item), ATTRIBUTE)
            self._queue(item, () if isinstance(value, type) else (value,))
        elif isinstance(item, classmethod):
            self._queue(item.__func__, (_class_of(value),))
        elif isinstance(item, staticmethod):
            self._queue(item.__func__, ())
        elif isinstance(item, functools.partialmethod):
            self._queue(item.func, (value, *item.args))
        elif not isinstance(value, type) and hasattr(item, "__set__"):  # a slot
            held = getattr(value, name, NOTHING)
            return self.met(value, name, held, ATTRIBUTE)
        elif not hasattr(item, "__get__"):
            return self.met(value, name, item, ATTRIBUTE)
        else:
            self._queue(type(item).__get__, (item, value, _class_of(value)))
        return NOTHING

    def _computed(self, value: Any, name: str) -> Any:
        """What `__getattr__` gives, where that is the same each time."""
        if not hasattr(type(value), "__getattr__"):
            return NOTHING
        try:
            held = getattr(value, name)
            same = getattr(value, name) is held
        except Exception:
            return NOTHING
        return self.met(value, name, held, ATTRIBUTE) if same else NOTHING

    def item(self, value: Any, key: Any) -> Any:
        """An item that code reads, so far as it is known."""
        if not isinstance(value, _HOLDERS) or isinstance(value, set | frozenset):
            self.use(value)
            return NOTHING
        try:
            held = value[key]
        except (LookupError, TypeError):
            return NOTHING
        if not isinstance(value, tuple):
            return self.met(value, key, held, ITEM)
        if id(value) in self.way:
            self.note(*self.way[id(value)])
        return held

    # -- what they are used for as a whole

    def use(self, value: Any) -> None:
        """Looks at a value that is called, looped over or handed on.

        Args:
            value: the value.
        """
        if value is NOTHING or is_object(value) or id(value) in self.seen:
            return
        if isinstance(value, (*BUFFERS, *COMPARED)):
            if isinstance(value, (np.ndarray, *BUFFERS)):
                self.note(step_of_values(value), ITEM)
            return
        self.seen[id(value)] = value
        if isinstance(value, ModuleType):
            self.loose += [] if is_installed(value.__name__) else [value]
            return
        if id(value) in self.way and not _is_library(value):
            self.note(*self.way[id(value)])
        self._use_by_kind(value)

    def _use_by_kind(self, value: Any) -> None:
        if isinstance(value, (FunctionType, MethodType, functools.partial)):
            self._use_function(value)
        elif isinstance(value, weakref.ref):
            self.use(value())
        elif isinstance(value, contextvars.ContextVar):
            self.use(self.met(value, None, context_value(value), CELL))
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
            self.note(step_of_values(value), ITEM)
        for item in list(islice(items, _FEW)):
            self.use(item)

    def _use_object(self, value: Any) -> None:
        kind = _class_of(value)
        for name in _OF_WRAPPERS:
            with contextlib.suppress(Exception):  # an attribute that a class computes
                self.use(getattr(value, name))
        if kind.__module__ == "collections":  # a ChainMap, UserDict, UserList
            for held in self.own(value).values():
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
        inner = vars(value) if isinstance(value, ModuleType) else self.own(value)
        for space in [inner, *map(vars, own)]:
            for name in self.mentioned.intersection(space):
                self.use(self.attribute(value, name))

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
            [isinstance(x, (*COMPARED, *_ROWS)) for x in islice(_items_of(item), _FEW)]
        )
    return isinstance(item, (*COMPARED, FunctionType)) or is_constant(item)


def _items_of(value: Any) -> Any:
    return value.values() if isinstance(value, dict | MappingProxyType) else value


def _is_library(value: Any) -> bool:
    """Whether it is a function or class of an installed library, which stays."""
    kind = value if isinstance(value, (FunctionType, type)) else type(value)
    return is_installed(kind.__module__)


def _class_of(value: Any) -> type:
    """The class of an object, or a class itself."""
    return value if isinstance(value, type) else type(value)
