"""List and Dict: containers whose edits are seen as they happen.

A plain list or dict that becomes an attribute stays what it is (see `_plain`), unless
some of its items are marked: then it becomes one of these, which keep the marks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from .. import _guard as guard
from .._compat import EAGER, ConcreteArray, tracing
from .._guard import active, context, quiet
from ._nodes import (
    ALIAS,
    BOOKKEEPING,
    FOREIGN,
    OBJECTS,
    PLAIN,
    SNAPSHOT,
    Node,
    is_data,
    stamp,
)
from ._pickle import pack
from ._version import bump

if TYPE_CHECKING:
    from typing import Self

V = TypeVar("V")
_set = object.__setattr__  # past `__setattr__`, which users override
_NESTED = (list, dict, tuple)
_USUAL: frozenset[type] = frozenset(
    (*PLAIN, list, dict, tuple, ConcreteArray, np.ndarray)
)


class Marked:
    """A value with the kind that its attribute or item is to have."""

    __slots__ = ("kind", "value")

    def __init__(self, value: Any, kind: str):
        self.value, self.kind = value, kind


def adopt(value: Any) -> Any:
    """What becomes an attribute or item: itself; tells of what is foreign in it.

    A list or dict with items that are marked becomes a List or Dict, which has marks.
    """
    kind: Any = type(value)
    if kind not in _USUAL and not issubclass(kind, OBJECTS):
        for check in FOREIGN:
            check(value, is_data(value))
    if kind is list or kind is dict:
        return _with_marks(value)
    if isinstance(value, tuple) and any(isinstance(v, _NESTED) for v in value):
        items = [adopt(item) for item in value]
        if all(map(operator.is_, items, value)):
            return value
        make: Any = kind
        return make(*items) if hasattr(value, "_fields") else make(items)
    return value


def _with_marks(value: Any) -> Any:
    """A plain list or dict, or one of ours where an item is marked."""
    if _holds_marked(value):
        make: Any = List if type(value) is list else Dict
        return make(value)
    pairs = enumerate(value) if type(value) is list else list(value.items())
    for key, item in pairs:
        if (made := adopt(item)) is not item:
            value[key] = made
    return value


def _edit(name: str, base: type, adopting: Callable | None) -> Callable:
    """A mutator of `base` that is checked, adopts what comes in, and is seen."""
    method = getattr(base, name)

    def edit(self, *args, **kwargs):
        self = guard.writable(self)
        if adopting is not None:
            args, kwargs = adopting(args, kwargs)
        if self._oakum_marks or any(map(_holds_marked, args)):
            result = _edit_marked(self, base, name, args, kwargs)
        else:
            result = method(self, *args, **kwargs)
        bump(self)
        return self if name.startswith("__i") else result

    edit.__name__ = name
    edit.__qualname__ = f"{base.__name__}.{name}"
    edit.__doc__ = method.__doc__
    return edit


def _holds_marked(value: Any) -> bool:
    if type(value) is list:
        return any(type(item) is Marked for item in value)
    if type(value) is dict:
        return _holds_marked(list(value.values()))
    return type(value) is Marked


def _edit_marked(node: Any, base: type, name: str, args: tuple, kwargs: dict) -> Any:
    """An edit of a container with marks, which move with their items."""
    content = marked(node)
    if name == "remove":
        result = content.pop(base.index(node, *args))
    else:
        if name == "sort":
            key = kwargs.get("key") or (lambda value: value)
            kwargs = {**kwargs, "key": lambda item: key(_unmarked(item))}
        result = getattr(base, name)(content, *args, **kwargs)
    refill(node, content)
    if name == "popitem":
        return result[0], _unmarked(result[1])
    return None if name == "remove" else _unmarked(result)


def _unmarked(item: Any) -> Any:
    return item.value if type(item) is Marked else item


def marked(node: Any, convert: Callable[[Any], Any] = lambda value: value) -> Any:
    """The items of a List or Dict as a plain list or dict, marks around them.

    Args:
        node: the List or Dict.
        convert: what to make of each item.
    """
    marks = node._oakum_marks or {}

    def item(key: Any, value: Any) -> Any:
        value = convert(value)
        return Marked(value, marks[key]) if key in marks else value

    if isinstance(node, list):
        return [item(i, value) for i, value in enumerate(node)]
    return {key: item(key, value) for key, value in node.items()}


def refill(node: Any, content: Any) -> None:
    """Puts items in a List or Dict, instead of what it holds, and keeps their marks."""
    pairs = list(content.items() if isinstance(content, dict) else enumerate(content))
    marks = {key: value.kind for key, value in pairs if type(value) is Marked}
    values = {
        key: value if marks.get(key) == "static" else adopt(value)
        for key, value in ((key, _unmarked(value)) for key, value in pairs)
    }
    _set(node, "_oakum_marks", marks or None)
    node._oakum_fill(values)


def _look(name: str, base: type) -> Callable:
    """A reader of `base` that finds the twin inside a transform."""
    method = getattr(base, name)

    def look(self, *args):
        if active and self._oakum_frame is not context.frame:
            self = guard.resolve(self)
        if tracing.value is not EAGER:
            _note_plain(self, base)
        return method(self, *args)

    look.__name__ = name
    look.__qualname__ = f"{base.__name__}.{name}"
    look.__doc__ = method.__doc__
    return look


def _note_plain(self: Any, base: type) -> None:
    """Notes that what a List or Dict has of others is about to be read."""
    items = base.__iter__(self) if base is list else dict.values(self)
    for item in items:
        if type(item) not in quiet:
            guard.note_plain(self, item)


def _last(args: tuple, kwargs: dict) -> tuple:
    return (*args[:-1], adopt(args[-1])), kwargs


def _items(args: tuple, kwargs: dict) -> tuple:
    return ([adopt(item) for item in args[0]], *args[1:]), kwargs


def _pairs(args: tuple, kwargs: dict) -> tuple:
    made = {key: adopt(item) for key, item in dict(*args, **kwargs).items()}
    return (made,), {}


def _item_or_slice(args: tuple, kwargs: dict) -> tuple:
    index, value = args
    if isinstance(index, slice):
        return (index, [adopt(item) for item in value]), kwargs
    return (index, adopt(value)), kwargs


class _Container(Node):
    """What List and Dict have in common: how they are copied, pickled and found."""

    __slots__ = ()

    def __copy__(self: Any) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        guard.note_taken((self,))
        memo[id(self)] = new = _new_container(type(self))
        refill(new, marked(self, lambda item: deepcopy(item, memo)))
        return new

    def __reduce__(self):
        return _new_container, (type(self),), marked(self, pack)

    def __setstate__(self, state: Any) -> None:
        refill(self, state)

    __hash__ = None  # type: ignore[assignment]


class _Slot:
    """Reads a List or Dict past its checks."""

    __slots__ = ("items", "read")

    def __init__(self, items: Any, read: Callable[[Any, Any], Any]):
        self.items, self.read = items, read

    def __getitem__(self, key: Any) -> Any:
        return self.read(self.items, key)


class List(_Container, list[V]):
    """A list whose edits are seen as they happen, also where they are not allowed.

    Args:
        it: the items; modules, Variables, arrays or static values.

    Example:
        >>> import oakum as nnx
        >>> layers = nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0))])
        >>> layers.append(nnx.relu)
        >>> len(layers)
        2
    """

    __slots__ = ("__weakref__", SNAPSHOT, *BOOKKEEPING)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return stamp(list.__new__(cls))

    def __init__(self, it: Iterable[V] | None = None):
        refill(
            self, [] if it is None else marked(it) if isinstance(it, List) else [*it]
        )

    def _oakum_children(self) -> Iterator[tuple[int, Any]]:
        return enumerate(list.__iter__(self))

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        list.__setitem__(self, slice(None), content.values())

    def _oakum_slot(self) -> Any:
        return _Slot(self, list.__getitem__)

    def copy(self) -> Self:
        """A new List of the same items."""
        return type(self)(self)

    def __add__(self, other: Any) -> List[Any]:
        more = marked(other) if isinstance(other, List) else other
        return type(self)([*marked(self), *more])


class Dict(_Container, dict[Any, V]):
    """A dict whose edits are seen as they happen, also where they are not allowed.

    Items can be read and set as attributes too.

    Args:
        *args, **kwargs: as for `dict`.

    Example:
        >>> import oakum as nnx
        >>> heads = nnx.Dict(a=nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> heads.a is heads['a']
        True
    """

    __slots__ = ("__weakref__", SNAPSHOT, *BOOKKEEPING)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return stamp(dict.__new__(cls))

    @overload
    def __init__(self, **kwargs: V): ...
    @overload
    def __init__(
        self, items: Mapping[Any, V] | Iterable[tuple[Any, V]], /, **kwargs: V
    ): ...
    def __init__(self, *args: Any, **kwargs: Any):
        first = marked(args[0]) if args and isinstance(args[0], Dict) else None
        refill(self, dict(*args, **kwargs) if first is None else {**first, **kwargs})

    def _oakum_children(self) -> list[tuple[Any, Any]]:
        items = list(dict.items(self))
        try:
            return sorted(items, key=operator.itemgetter(0))
        except TypeError:  # keys of several types
            return items

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        dict.update(self, content)
        for gone in set(dict.keys(self)).difference(content):
            dict.__delitem__(self, gone)

    def _oakum_slot(self) -> Any:
        return _Slot(self, dict.__getitem__)

    def _oakum_order(self) -> list[Any]:
        return list(dict.keys(self))

    def copy(self) -> Self:
        """A new Dict of the same items."""
        return type(self)(self)

    def __getattr__(self, name: str) -> V:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            what = f"{type(self).__name__} has no item {name!r}"
            raise AttributeError(what) from None

    def __setattr__(self, name: str, value: V) -> None:
        if name in BOOKKEEPING:
            object.__setattr__(self, name, value)
        elif name != ALIAS:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]


def _new_container(cls: Any) -> Any:
    return cls.__new__(cls)


for _name, _adopting in (
    ("append", _last),
    ("insert", _last),
    ("extend", _items),
    ("__iadd__", _items),
    ("__setitem__", _item_or_slice),
    ("__delitem__", None),
    ("__imul__", None),
    ("clear", None),
    ("pop", None),
    ("remove", None),
    ("reverse", None),
    ("sort", None),
):
    setattr(List, _name, _edit(_name, list, _adopting))
for _name in ("__getitem__", "__iter__", "__len__", "__contains__", "__reversed__"):
    setattr(List, _name, _look(_name, list))
for _name in ("index", "count"):
    setattr(List, _name, _look(_name, list))
for _name, _adopting in (
    ("__setitem__", _last),
    ("__delitem__", None),
    ("__ior__", _pairs),
    ("clear", None),
    ("pop", None),
    ("popitem", None),
    ("setdefault", _last),
    ("update", _pairs),
):
    setattr(Dict, _name, _edit(_name, dict, _adopting))
for _name in ("__getitem__", "__iter__", "__len__", "__contains__"):
    setattr(Dict, _name, _look(_name, dict))
for _name in ("get", "items", "keys", "values"):
    setattr(Dict, _name, _look(_name, dict))
