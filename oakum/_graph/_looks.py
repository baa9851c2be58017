"""Plain lists and dicts of a model, looked at again.

Nobody sees an edit of one as it happens. So whoever remembers a graph, such as a plan,
remembers where each stands and the identities of what it held. Kept alive are neither
the list nor the objects in it, which may lead back to the root of the graph; one that
goes away is told of by its weak reference, before another can take its id.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Mapping
from functools import reduce
from typing import Any

from .._objects._nodes import is_array, is_object
from .._objects._plain import Held, held
from .._objects._vars import WithDict, own_dict
from .._objects._version import bump
from ._flatten import Home
from ._form import Form, form_of


class Look:
    """A plain list or dict: where it stands, and what it held.

    Args:
        number: its index among the objects of the graph.
        plain: where each plain list or dict stands, by its index.
        objects: all objects by index.
    """

    __slots__ = ("_find", "_kept", "_keys", "_mask", "_seen", "number")

    def __init__(self, number: int, plain: Mapping[int, Home], objects: list[Any]):
        self.number = number
        one: Held = objects[number]
        owner, keys = plain[number]
        while owner in plain and keys is not None:
            owner, above = plain[owner]
            keys = None if above is None else above + keys
        self._find = _finder(one, objects[owner], keys)
        self._keys = list(one.items) if type(one.items) is dict else None
        items = _values(one.items)
        self._mask = [i for i, item in enumerate(items) if is_array(item)]
        # Known by their ids alone: what is kept alive anyway or watched, and plain
        # containers, of which one at the same address holds the same.
        known = list, dict
        self._kept = [
            x for x in items if not (is_object(x) or is_array(x) or type(x) in known)
        ]
        self._seen = self._content(one.items)

    def _content(self, items: Any) -> list[Any]:
        seen: list[Any] = list(map(id, _values(items)))
        for i in self._mask:  # another array there is no other structure
            seen[i] = type(_values(items)[i])
        return seen

    def holds(self) -> bool:
        """Whether the list or dict is there, and holds the same objects."""
        try:
            items = self._find()
            if self._keys is not None:
                if list(items) != self._keys:
                    return False
                items = list(items.values())
            if not self._mask:
                return list(map(id, items)) == self._seen
            return len(items) == len(self._seen) and self._content(items) == self._seen
        except (LookupError, AttributeError, RuntimeError, TypeError):
            return False  # it is gone, or changes while it is looked at

    def stand_in(self) -> Held:
        """What stands for it; for an empty one if it is gone by now."""
        kind: Any = list if self._keys is None else dict
        try:
            found = self._find()
        except (LookupError, AttributeError, TypeError):
            found = None
        return held(found if type(found) is kind else kind())


def _values(items: Any) -> list[Any]:
    return items if type(items) is list else list(items.values())


def _finder(one: Held, owner: Any, keys: tuple | None) -> Any:
    """A function that gives the list or dict that stands in a place now."""
    if keys is None:  # in a pytree that is kept
        return lambda: one.items
    ref: Any = weakref.ref(owner)
    first = keys[0]
    if not isinstance(owner, WithDict):
        return lambda: reduce(operator.getitem, keys, ref()._oakum_slot())
    if len(keys) > 1:
        return lambda: reduce(operator.getitem, keys, own_dict(ref()))
    return lambda: own_dict(ref())[first]


def _nothing() -> None:
    """What a weak reference gives whose object is gone."""


class Looks:
    """All plain lists and dicts of a graph.

    Args:
        plain: where each stands, by its index.
        objects: all objects of the graph by index.
    """

    __slots__ = ("_all", "gone", "numbers")

    def __init__(self, plain: Mapping[int, Home], objects: list[Any]):
        self._all = [Look(number, plain, objects) for number in plain]
        self.numbers = list(plain)
        self.gone: list[Any] = []
        """Takes the weak references of objects that went away."""

    def watch(self, objects: list[Any]) -> list[Any]:
        """Weak references to objects; one to nothing for what stands for a list."""
        if not self._all:
            return list(map(weakref.ref, objects))
        refs: list[Any] = [weakref.ref(obj, self.gone.append) for obj in objects]
        self.fill_in(refs, _nothing)  # what stands for a list goes at once
        return refs

    def __bool__(self) -> bool:
        return bool(self._all)

    def hold(self) -> bool:
        """Whether all hold the same objects, and none of these went away."""
        return not self.gone and all(map(Look.holds, self._all))

    def fill_in(self, objects: list[Any], value: Any = None) -> None:
        """Puts what stands for each, or a value, among all objects by index."""
        for look in self._all:
            objects[look.number] = look.stand_in() if value is None else value


class Attributes:
    """The attributes of nodes, where a program sets some past `__setattr__`.

    Args:
        objects: all objects of a graph.
    """

    __slots__ = ("_all",)

    def __init__(self, objects: list[Any]):
        self._all = []
        for node in objects:
            if isinstance(node, WithDict):
                own = own_dict(node)
                form = form_of(node, own)
                held = _identities(form, own)
                self._all.append((weakref.ref(node), form, held))

    def __bool__(self) -> bool:
        return bool(self._all)

    def look(self) -> None:
        """Notes an edit of the nodes that hold something else by now."""
        for ref, form, before in self._all:
            node = ref()
            if node is None:
                continue
            own = own_dict(node)
            if form_of(node, own) is not form or _identities(form, own) != before:
                bump(node)


def _identities(form: Form, own: dict[str, Any]) -> list[Any]:
    """What stands under the open keys: of arrays, which a step replaces, the type."""
    return [
        type(x) if is_array(x) else id(x) for x in map(own.__getitem__, form.open_keys)
    ]
