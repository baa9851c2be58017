"""Nodes: objects with named children, and the observed containers `List` and `Dict`.

A node keeps its children where Python keeps them (`__dict__`, list, dict items), and
beside them the bookkeeping that every node has: the frame and trace it was made in, the
line that made it, and its version. A plain list or dict that becomes an attribute stays
what it is (see `_plain`).
"""

from __future__ import annotations

import dataclasses
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, overload

import jax
import numpy as np

from .. import _guard as guard
from .._compat import EAGER, ConcreteArray, tracing
from .._guard import active, context, current_trace, here
from ._declared import NodeMethods
from ._pickle import pack
from ._variable import Variable
from ._version import bump

if TYPE_CHECKING:
    from typing import Self

V = TypeVar("V")
_set = object.__setattr__  # past `__setattr__`, which users override
BOOKKEEPING = (
    "_oakum_form",
    "_oakum_formed",
    "_oakum_frame",
    "_oakum_mark",
    "_oakum_marks",
    "_oakum_origin",
    "_oakum_version",
)
SNAPSHOT = "_oakum_snapshot"  # what is kept for JAX; a node may be without
# `Box[int](...)` of a generic class has Python set this; a node is the same without.
ALIAS = "__orig_class__"


class Node(NodeMethods):
    """What all nodes have in common.

    `_oakum_children` yields (key, child) in canonical order; `_oakum_fill` sets all of
    them at once, without checks, from a dict in the container's order that it may keep.
    """

    __slots__ = ()
    _oakum_form: Any
    _oakum_formed: int
    _oakum_frame: Any
    _oakum_mark: Any
    _oakum_marks: Any
    _oakum_origin: Any
    _oakum_version: int

    def _oakum_children(self) -> Iterable[tuple[Any, Any]]:
        raise NotImplementedError

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        raise NotImplementedError

    def _oakum_slot(self) -> Any:
        """The container that holds the children: `slot[key]` is the child."""
        raise NotImplementedError

    def _oakum_order(self) -> Iterable[Any]:
        """The keys in the order in which the container holds them."""
        return [key for key, _ in self._oakum_children()]


def stamp(node: Any) -> Any:
    """Fills the bookkeeping of a node made here and now."""
    _set(node, "_oakum_frame", context.frame)
    _set(node, "_oakum_mark", current_trace())
    _set(node, "_oakum_origin", here())
    _set(node, "_oakum_marks", None)
    _set(node, "_oakum_version", 0)
    _set(node, "_oakum_form", None)
    _set(node, "_oakum_formed", -1)
    return node


def is_array(value: Any) -> bool:
    """Whether a value is an array: of JAX, NumPy, abstract, or a tracer.

    A number of NumPy's is a number, as Python's are: configuration where it is an
    attribute, data where it is an argument.
    """
    return type(value) is ConcreteArray or isinstance(value, _ARRAYS)


def is_object(value: Any) -> bool:
    """Whether a value is one of oakum's: a Variable or a node."""
    # Not `isinstance`, which asks a node that is none of these for its `__class__`.
    return issubclass(type(value), OBJECTS)


def is_node(value: Any) -> bool:
    """Whether a value is one of oakum's nodes."""
    return issubclass(type(value), Node)


def is_variable(value: Any) -> bool:
    """Whether a value is a Variable."""
    return issubclass(type(value), Variable)


def is_data(value: Any) -> bool:
    """Whether a value holds state: a Variable, a node, an array, or a pytree of such.

    Args:
        value: anything.

    Returns:
        True where an attribute of this value is data, False where it is static.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.is_data(jnp.ones(3)), nnx.is_data((3, 3))
        (True, False)
    """
    if issubclass(type(value), OBJECTS) or is_array(value):
        return True
    if isinstance(value, _SEQUENCES):
        return any(map(is_data, value))
    if isinstance(value, dict):
        return any(map(is_data, value.values()))
    if _is_plain(value):
        return False
    leaves = jax.tree.leaves(value, is_leaf=is_object)
    if len(leaves) == 1 and leaves[0] is value:
        return type(value) in DATA_TYPES
    return any(map(is_data, leaves))


DATA_TYPES: set[type] = set()
FOREIGN: list[Callable[[Any, bool], None]] = []
"""Checks of what becomes an attribute or item and is of no usual class."""
# Tuples, since a union is made anew each time it is written.
_ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
_SEQUENCES = (tuple, list)
_NESTED = (list, dict, tuple)
OBJECTS = (Variable, Node)
NUMBERS = (bool, int, float, complex, np.generic)
# Other callables may be registered pytrees, such as the layers of equinox.
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_PLAIN = (*NUMBERS, str, bytes, type, type(None), *_FUNCTIONS)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN)


_USUAL: frozenset[type] = frozenset(
    (*_PLAIN, list, dict, tuple, ConcreteArray, np.ndarray)
)


@dataclasses.dataclass(frozen=True, eq=False)
class Marked:
    """A value with the kind that its attribute or item is to have."""

    value: Any
    kind: str


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
    """Notes that plain lists and dicts in a List or Dict are about to be read."""
    items = base.__iter__(self) if base is list else dict.values(self)
    for item in items:
        if type(item) in _NESTED:
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


class List(Node, list[V]):
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
        return _ListSlot(self)

    def copy(self) -> Self:
        """A new List of the same items."""
        return type(self)(self)

    def __add__(self, other: Any) -> List[Any]:
        more = marked(other) if isinstance(other, List) else other
        return type(self)([*marked(self), *more])

    def __reduce__(self):
        return _new_container, (type(self),), marked(self, pack)

    def __setstate__(self, state: list[Any]) -> None:
        refill(self, state)

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        guard.note_taken((self,))
        memo[id(self)] = new = _new_container(type(self))
        refill(new, marked(self, lambda item: deepcopy(item, memo)))
        return new

    __hash__ = None  # type: ignore[assignment]


class _ListSlot:
    """Reads a List past its checks."""

    __slots__ = ("items",)

    def __init__(self, items: list):
        self.items = items

    def __getitem__(self, index: int) -> Any:
        return list.__getitem__(self.items, index)


class Dict(Node, dict[Any, V]):
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
        return _DictSlot(self)

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

    def __reduce__(self):
        return _new_container, (type(self),), marked(self, pack)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        refill(self, state)

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        guard.note_taken((self,))
        memo[id(self)] = new = _new_container(type(self))
        refill(new, marked(self, lambda item: deepcopy(item, memo)))
        return new

    __hash__ = None  # type: ignore[assignment]


class _DictSlot:
    """Reads a Dict past its checks."""

    __slots__ = ("items",)

    def __init__(self, items: dict):
        self.items = items

    def __getitem__(self, key: Any) -> Any:
        return dict.__getitem__(self.items, key)


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
