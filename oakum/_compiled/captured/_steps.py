"""Steps: under which names, items and attributes a function found an object.

A step holds as long as the same object stands there. A call looks at its steps, some
0.1 us for each, and only where something was captured.
"""

from __future__ import annotations

import array
import contextvars
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import call, is_
from types import CellType, MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..._objects import is_array, is_object
from ..._statics import note_array, static_key

_FEW = 8  # items that are looked at in each call where none of them is state
MANY = 4096  # items of a list or dict that are looked through
_MANY_NAMES = 64  # in a dict, beyond which only their number is compared
TOO_MANY = 2000  # values to be compared in each call
BY_VALUE = frozenset((int, float, complex, bool, str, bytes, type(None)))
_MISSING: Any = object()
ANY: Any = object()  # the key of a step to a list or dict, whatever it holds
NAMES: Any = object()  # that of a step to the names in a dict, whatever they hold
VALUES: Any = object()  # that of a step to all items of a list, dict or set
ROWS = (list, deque)
SETS = (set, frozenset)
GROWING = (dict, list, deque)
BUFFERS = (bytearray, memoryview, array.array)
_LARGE = 4096  # bytes of an array of NumPy's that are all compared
_SAMPLE = 509  # numbers of a larger one; a prime, which no row is long


Read = tuple[Callable[[], Any], Any]
"""A function, and what it gives as long as something is as it was."""


class Step(NamedTuple):
    """One step: a namespace, container, closure cell or object, and what it held.

    Attributes:
        container, key, value: where it was found; of names, those that the function
            may read, and which of them are there.
        size: how many items a list or dict had, through which the function may go; -1
            for a namespace, where other names have nothing to do with it.
        beside: which of them may be state.
        kept: items that are known by their identity, lest others get that.
    """

    container: Any
    key: Any
    value: Any
    size: int = -1
    beside: tuple[int, ...] = ()
    kept: tuple = ()

    @property
    def place(self) -> tuple[int, Any]:
        """Container and key, the container by its identity."""
        return id(self.container), self.key

    def of_items(self) -> Step:
        """The step from a list or dict itself, with what else it holds."""
        size, beside = len(self.container), _states_in(self.container)
        return self._replace(size=size, beside=beside)

    def renewed(self) -> Step:
        """The step with what stands beside the value now."""
        if self.key is NAMES:
            return names_in(self.container, self.value[0])
        if self.key is VALUES:
            return step_of_values(self.container)
        return self if self.size < 0 else self.of_items()

    def holds(self) -> bool:
        """Whether the value is still there."""
        try:
            return self._holds()
        except (LookupError, ValueError, RuntimeError):
            return False

    def reads(self) -> list[Read]:
        """Reads, in C where they can be, and what each gives while the step holds."""
        found: list[Read] = []
        if self.key is NAMES:
            found = _reads_of_names(self.container)
        elif self.key is VALUES:
            found = _reads_of_values(self.container)
        elif self.size < 0:
            found = _reads_of_place(self.container, self.key, self.value)
        elif self.key is ANY and self.size <= _FEW:
            found = _reads_of_few(self.container, self.size)
        return found or [(self.holds, True)]

    def _holds(self) -> bool:
        container = self.container
        if self.key is NAMES:
            return self.value[1] == _present(container, self.value[0])
        if self.key is VALUES:
            return values_in(container) == self.value
        if self.size >= 0:
            near = self.key is ANY and self.size <= _FEW
            other = near or len(container) != self.size
            if other and _states_in(container) != self.beside:
                return False
        return self.key is ANY or _holds_at(container, self.key, self.value)


def _holds_at(container: Any, key: Any, value: Any) -> bool:
    """Whether a value is still where it was found in a container."""
    if isinstance(container, dict):
        return dict.get(container, key, _MISSING) is value
    if type(container) is CellType:
        return container.cell_contents is value
    if isinstance(container, SETS):
        return len(container) == len(key) and all(map(is_, container, key))
    if isinstance(container, (MappingProxyType, *ROWS)):
        return container[key] is value
    if isinstance(container, contextvars.ContextVar):
        return context_value(container) is value
    return getattr(container, key, _MISSING) is value


def _reads_of_names(container: dict) -> list[Read]:
    if len(container) <= _MANY_NAMES:
        same = container.keys().__eq__  # in C, 0.1 us and 20 ns for each name
        return [(functools.partial(same, frozenset(container)), True)]
    return [(container.__len__, len(container))]


def _reads_of_values(container: Any) -> list[Read]:
    items = _items_to_keep(container)
    if items is None:
        return []
    return [(functools.partial(_has_items, container, items), True)]


def _reads_of_place(container: Any, key: Any, value: Any) -> list[Read]:
    if isinstance(container, dict):
        return [(functools.partial(dict.get, container, key), value)]
    if isinstance(container, type):
        return [(functools.partial(getattr, container, key, _MISSING), value)]
    if type(container) is CellType:
        return [(functools.partial(getattr, container, "cell_contents"), value)]
    return []


def _reads_of_few(container: Any, size: int) -> list[Read]:
    """Reads of items one by one, where they are numbers or texts.

    To keep others would keep state alive.
    """
    if type(container) not in (list, dict):
        return []
    rows = enumerate(container) if type(container) is list else container.items()
    pairs = list(rows)
    if len(pairs) != size or any([type(v) not in BY_VALUE for _, v in pairs]):
        return []
    get = container.__getitem__
    each = [(functools.partial(get, key), value) for key, value in pairs]
    return [(container.__len__, size), *each]


def names_in(container: dict, read: frozenset | None) -> Step:
    """The step to the names in a dict or the `__dict__` of an object.

    Args:
        container: the dict.
        read: the names that the function may read; None for all.
    """
    return Step(container, NAMES, (read, _present(container, read)))


def context_value(variable: contextvars.ContextVar) -> Any:
    """What a context variable holds here, or has as its default."""
    try:
        return variable.get()  # which may have a default
    except LookupError:
        return None


def step_of_values(container: Any) -> Step:
    """The step to all items of a list, dict or set, or to the content of an array."""
    kept: Any = ()
    values = values_in(container)
    if isinstance(container, np.ndarray):
        note_array(container, values[0])
    if isinstance(container, (*GROWING, MappingProxyType)):
        items = container if isinstance(container, ROWS) else container.values()
        kept = tuple([x for x in items if type(x) not in BY_VALUE and not is_object(x)])
    return Step(container, VALUES, values, kept=kept)


def values_in(container: Any) -> tuple:
    """The items of a list, dict or set: numbers by value, all else by identity.

    Of a large array of NumPy's some numbers all over it: those that are edited in place
    between two steps, such as a batch or weights of classes, are so as a whole.
    """
    items = container
    if isinstance(container, np.ndarray):
        if container.nbytes > _LARGE:
            flat = container.ravel() if container.flags.forc else container.flat
            every = max(1, container.size // _SAMPLE)
            sample = flat[::every].tobytes()
            return (sample, container.dtype, container.shape)
        return (container.tobytes(), container.dtype, container.shape)
    if isinstance(container, BUFFERS):
        return (bytes(container),)
    if isinstance(container, dict | MappingProxyType):
        items = [part for pair in container.items() for part in pair]
    return tuple(
        [static_key(item) if type(item) in BY_VALUE else id(item) for item in items]
    )


def _items_to_keep(container: Any) -> list | None:
    """The items of a list or dict, or None where they may not be kept or are others."""
    if not isinstance(container, (*ROWS, dict)):
        return None
    items = list(_all_items(container))
    return None if any(map(is_object, items)) else items


def _has_items(container: Any, items: list) -> bool:
    """Whether a list or dict has these very items, which is told in 0.5 us."""
    size = len(container) * (2 if isinstance(container, dict) else 1)
    return size == len(items) and all(map(is_, _all_items(container), items))


def _all_items(container: Any) -> Iterator[Any]:
    if isinstance(container, dict):
        return chain(container, container.values())
    return iter(container)


def _present(container: dict, read: frozenset | None) -> frozenset:
    return frozenset(container) if read is None else read.intersection(container)


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
        return any(map(_may_hold_state, islice(items, MANY)))
    own = getattr(item, "__dict__", None)
    return deep and bool(own) and any([_may_hold_state(x, False) for x in own.values()])
