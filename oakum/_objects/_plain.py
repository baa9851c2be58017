"""Plain lists and dicts as parts of a graph: they stay what they are.

An attribute that is a plain list or dict is the very object that was assigned. It has
no room for the bookkeeping of a node, so whoever walks a graph takes a `Held` in its
place: one for each list or dict, as long as anybody needs it. Nobody sees an edit of a
plain container as it happens. What it holds is compared instead: by a compiled call
with what it held when the plan was made, by a transform with what it held before the
body ran.
"""

from __future__ import annotations

import operator
import threading
import weakref
from typing import Any

from .._guard import content_of, context, current_trace, same_content
from ._nodes import BOOKKEEPING, Node, stamp_blank
from ._version import bump

_set = object.__setattr__
_lock = threading.RLock()  # the garbage collector may run code of the user's


class Held(Node):
    """Stands for a plain list or dict while a graph is walked.

    Attributes:
        items: the list or dict.
        seen: what it held when it was looked at last.
    """

    __slots__ = ("__weakref__", "items", "seen", *BOOKKEEPING)
    stands_in = True
    items: Any
    seen: tuple

    def _oakum_children(self) -> list[tuple[Any, Any]]:
        return plain_children(self.items)

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        items = self.items
        if type(items) is list:
            items[:] = content.values()
        else:
            items.update(content)
            for gone in set(items).difference(content):
                del items[gone]
            if list(items) != list(content):
                items.clear()
                items.update(content)
        self.seen = content_of(items)

    def _oakum_slot(self) -> Any:
        return self.items

    def _oakum_order(self) -> Any:
        return list(self.items) if type(self.items) is dict else range(len(self.items))


_known: weakref.WeakValueDictionary[int, Held] = weakref.WeakValueDictionary()


def held(items: Any, owner: Any = None) -> Held:
    """What stands for a plain list or dict; the same one while it is in use.

    Args:
        items: the list or dict.
        owner: the node that it is a part of; it belongs to the trace of that.
    """
    with _lock:
        known = _known.get(id(items))
        if known is None:
            known = _known[id(items)] = _new(items, owner)
            return known
    look(known)
    return known


def known_held(items: Any) -> Held | None:
    """What stands for a plain list or dict, if it is in use."""
    return _known.get(id(items))


def _new(items: Any, owner: Any) -> Held:
    new: Any = object.__new__(Held)
    new.items, new.seen = items, content_of(items)
    if owner is None:
        _set(new, "_oakum_frame", context.frame)
        _set(new, "_oakum_mark", current_trace())
        _set(new, "_oakum_origin", None)
    else:
        for name in ("_oakum_frame", "_oakum_mark", "_oakum_origin"):
            _set(new, name, object.__getattribute__(owner, name))
    stamp_blank(new)
    return new


def look(one: Held) -> bool:
    """Notes an edit of the list or dict since the last look; whether there is one."""
    if same_content(one.items, one.seen):
        return False
    one.seen = content_of(one.items)
    bump(one)
    return True


def plain_children(items: Any) -> list[tuple[Any, Any]]:
    """The (key, child) pairs of a plain list or dict in canonical order."""
    if type(items) is not dict:
        return list(enumerate(items))
    pairs = list(items.items())
    try:
        return sorted(pairs, key=operator.itemgetter(0))
    except TypeError:  # keys of several types
        return pairs


def own_object(obj: Any) -> Any:
    """The object of the user's that a node is, or stands for."""
    return obj.items if type(obj) is Held else obj
