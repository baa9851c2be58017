"""Nodes: objects with named children, and the observed containers `List` and `Dict`.

A node keeps its children where Python keeps them (`__dict__`, list, dict items), and
beside them the bookkeeping that every node has: the frame and trace it was made in, the
line that made it, and its version. A plain list or dict that becomes an attribute is
turned into `List` or `Dict`, so that an edit is seen.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any

import jax
import numpy as np

from .. import guard
from ..guard import active, context, current_trace, here
from ._pickle import pack
from ._variable import Variable
from ._version import bump

_set = object.__setattr__  # past `__setattr__`, which users override
BOOKKEEPING = ("_frame", "_mark", "_marks", "_origin", "_version")


class Node:
    """What all nodes have in common.

    `_oakum_children` yields (key, child) in canonical order; `_oakum_fill` sets all of
    them at once, without checks; `_oakum_extra` is what else belongs to the structure.
    """

    __slots__ = ()
    _frame: Any
    _mark: Any
    _marks: Any
    _origin: Any
    _version: int

    def _oakum_children(self) -> Iterable[tuple[Any, Any]]:
        raise NotImplementedError

    def _oakum_fill(self, keys: tuple, children: list) -> None:
        raise NotImplementedError

    def _oakum_slot(self) -> Any:
        """The container that holds the children: `slot[key]` is the child."""
        raise NotImplementedError

    def _oakum_order(self) -> Iterable[Any]:
        """The keys in the order in which the container holds them."""
        return [key for key, _ in self._oakum_children()]


def stamp(node: Any) -> Any:
    """Fills the bookkeeping of a node made here and now."""
    _set(node, "_frame", context.frame)
    _set(node, "_mark", current_trace())
    _set(node, "_origin", here())
    _set(node, "_marks", None)
    _set(node, "_version", 0)
    return node


def is_array(value: Any) -> bool:
    """Whether a value is an array: of JAX, NumPy, abstract, or a tracer."""
    return isinstance(value, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def is_object(value: Any) -> bool:
    """Whether a value is one of oakum's: a Variable or a node."""
    return isinstance(value, Variable | Node)


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
    if isinstance(value, Variable | Node) or is_array(value):
        return True
    if isinstance(value, tuple | list):
        return any(map(is_data, value))
    if isinstance(value, dict):
        return any(map(is_data, value.values()))
    if _is_plain(value):
        return False
    leaves = jax.tree.leaves(value, is_leaf=lambda x: isinstance(x, Variable | Node))
    if len(leaves) == 1 and leaves[0] is value:
        return type(value) in DATA_TYPES
    return any(map(is_data, leaves))


DATA_TYPES: set[type] = set()
_PLAIN = (int, float, str, bytes, bool, complex, type, type(None))


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or callable(value)


def adopt(value: Any) -> Any:
    """Makes lists and dicts observed, inside tuples also."""
    kind = type(value)
    if kind is list:
        return List(value)
    if kind is dict:
        return Dict(value)
    if isinstance(value, tuple) and any(isinstance(v, list | dict | tuple) for v in value):
        items = [adopt(item) for item in value]
        if all(map(operator.is_, items, value)):
            return value
        return kind(*items) if hasattr(value, "_fields") else kind(items)
    return value


def _edit(name: str, base: type, adopting: Callable | None) -> Callable:
    """A mutator of `base` that is checked, adopts what comes in, and is seen."""
    method = getattr(base, name)

    def edit(self, *args, **kwargs):
        self = guard.writable(self)
        if adopting is not None:
            args, kwargs = adopting(args, kwargs)
        result = method(self, *args, **kwargs)
        bump(self)
        return self if name.startswith("__i") else result

    edit.__name__ = name
    edit.__qualname__ = f"{base.__name__}.{name}"
    edit.__doc__ = method.__doc__
    return edit


def _look(name: str, base: type) -> Callable:
    """A reader of `base` that finds the twin inside a transform."""
    method = getattr(base, name)

    def look(self, *args):
        if active and self._frame is not context.frame:
            self = guard.resolve(self)
        return method(self, *args)

    look.__name__ = name
    look.__qualname__ = f"{base.__name__}.{name}"
    look.__doc__ = method.__doc__
    return look


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


class List(Node, list):
    """A list whose edits are seen: what a plain list becomes as an attribute.

    Args:
        it: the items; modules, Variables, arrays or static values.

    Example:
        >>> import oakum as nnx
        >>> layers = nnx.List([nnx.Linear(2, 3, rngs=nnx.Rngs(0))])
        >>> layers.append(nnx.relu)
        >>> len(layers)
        2
    """

    __slots__ = ("__weakref__", *BOOKKEEPING)

    def __new__(cls, *args: Any, **kwargs: Any):
        return stamp(list.__new__(cls))

    def __init__(self, it: Iterable[Any] | None = None):
        list.__init__(self, [adopt(item) for item in it or ()])

    def _oakum_children(self) -> Iterator[tuple[int, Any]]:
        return enumerate(list.__iter__(self))

    def _oakum_fill(self, keys: tuple, children: list) -> None:
        list.__setitem__(self, slice(None), children)

    def _oakum_slot(self) -> Any:
        return _ListSlot(self)

    def copy(self) -> List:
        """A new List of the same items."""
        return type(self)(self)

    def __add__(self, other: Any) -> List:
        return type(self)([*self, *other])

    def __reduce__(self):
        return _new_container, (type(self),), [pack(item) for item in self]

    def __setstate__(self, state: list[Any]) -> None:
        list.extend(self, state)

    def __copy__(self) -> List:
        return self.copy()

    def __deepcopy__(self, memo: dict) -> List:
        memo[id(self)] = new = _new_container(type(self))
        list.extend(new, deepcopy(list(self), memo))
        return new

    def __repr__(self) -> str:
        return _node_text(self)

    __hash__ = None  # type: ignore[assignment]


class _ListSlot:
    """Reads a List past its checks."""

    __slots__ = ("items",)

    def __init__(self, items: list):
        self.items = items

    def __getitem__(self, index: int) -> Any:
        return list.__getitem__(self.items, index)


class Dict(Node, dict):
    """A dict whose edits are seen: what a plain dict becomes as an attribute.

    Items can be read and set as attributes too.

    Args:
        *args, **kwargs: as for `dict`.

    Example:
        >>> import oakum as nnx
        >>> heads = nnx.Dict(a=nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> heads.a is heads['a']
        True
    """

    __slots__ = ("__weakref__", *BOOKKEEPING)

    def __new__(cls, *args: Any, **kwargs: Any):
        return stamp(dict.__new__(cls))

    def __init__(self, *args: Any, **kwargs: Any):
        dict.__init__(self, {k: adopt(v) for k, v in dict(*args, **kwargs).items()})

    def _oakum_children(self) -> list[tuple[Any, Any]]:
        items = list(dict.items(self))
        try:
            return sorted(items, key=operator.itemgetter(0))
        except TypeError:  # keys of several types
            return items

    def _oakum_fill(self, keys: tuple, children: list) -> None:
        dict.update(self, zip(keys, children, strict=True))
        for gone in [key for key in dict.keys(self) if key not in keys]:
            dict.__delitem__(self, gone)

    def _oakum_slot(self) -> Any:
        return _DictSlot(self)

    def _oakum_order(self) -> list[Any]:
        return list(dict.keys(self))

    def copy(self) -> Dict:
        """A new Dict of the same items."""
        return type(self)(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no item {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in BOOKKEEPING:
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __reduce__(self):
        return _new_container, (type(self),), {k: pack(v) for k, v in self.items()}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        dict.update(self, state)

    def __copy__(self) -> Dict:
        return self.copy()

    def __deepcopy__(self, memo: dict) -> Dict:
        memo[id(self)] = new = _new_container(type(self))
        dict.update(new, deepcopy(dict(self), memo))
        return new

    def __repr__(self) -> str:
        return _node_text(self)

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


def _node_text(node: Any) -> str:
    from ._text import node_text

    return node_text(node)


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
for _name in "__getitem__ __iter__ __len__ __contains__ __reversed__ index count".split():
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
for _name in "__getitem__ __iter__ __len__ __contains__ get items keys values".split():
    setattr(Dict, _name, _look(_name, dict))
