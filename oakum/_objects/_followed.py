"""The plain list or dict that a container was made of, and goes on following.

A plain list that becomes an attribute is turned into an observed one; whoever goes on
to fill it under its own name means the attribute. So the container remembers it, takes
over what was edited there before it is read, and writes its own edits back, until
nobody else holds the plain one.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

from ._version import bump

_set = object.__setattr__  # past `__setattr__`, which users override


def keep_source(node: Any, plain: Any) -> None:
    """Remembers the plain list or dict that a container was made of.

    Whoever goes on to fill it under its own name fills the container too.
    """
    _set(node, "_oakum_source", plain)
    _set(node, "_oakum_seen", _content(plain))


def without_source(node: Any) -> Any:
    _set(node, "_oakum_source", None)
    return node


def settle(node: Any) -> None:
    """`pull`; and forgets a plain list or dict that nobody else holds any more."""
    if node._oakum_source is None:
        return
    pull(node)
    if sys.getrefcount(node._oakum_source) <= _ALONE:
        _set(node, "_oakum_source", None)
        _set(node, "_oakum_seen", None)  # it may hold what the items were made of


SOURCE = ("_oakum_seen", "_oakum_source")


class _Holder:
    __slots__ = ("_oakum_source",)


def _references_of_one() -> int:
    holder = _Holder()
    holder._oakum_source = []
    return sys.getrefcount(holder._oakum_source)


_ALONE = _references_of_one()


def _content(plain: Any) -> tuple:
    return tuple(plain.items()) if type(plain) is dict else tuple(plain)


def _same_content(plain: Any, seen: tuple) -> bool:
    if len(plain) != len(seen):
        return False
    if type(plain) is list:
        return all(map(operator.is_, plain, seen))
    pairs = zip(plain.items(), seen, strict=True)
    return all([k == known and v is held for (k, v), (known, held) in pairs])


def pull(node: Any) -> None:
    """Takes over what was edited in the plain list or dict that it was made of."""
    plain: Any = node._oakum_source
    if plain is not None and not _same_content(plain, node._oakum_seen):
        _set(node, "_oakum_seen", _content(plain))
        node._oakum_refill(plain)
        bump(node)


def push(node: Any) -> None:
    """Lets the plain list or dict that it was made of have its items."""
    plain: Any = node._oakum_source
    if plain is None:
        return
    items = plain if type(plain) is list else plain.values()
    old = {id(item): item for item in items}
    old |= {
        id(made): given
        for given in old.values()
        for made in _raw_items(node)
        if getattr(made, "_oakum_source", None) is given
    }
    if type(plain) is list:
        plain[:] = [old.get(id(item), item) for item in _raw_items(node)]
    else:
        made = {k: old.get(id(v), v) for k, v in dict.items(node)}
        known: Any = plain
        known.clear()
        known.update(made)
    _set(node, "_oakum_seen", _content(plain))


def _raw_items(node: Any) -> list[Any]:
    return list(list.__iter__(node)) if isinstance(node, list) else [*dict.values(node)]
