"""Fresh objects of a structure that a compiled function has met before.

A model that `merge` made a moment ago, and the gradients of a step, are new objects in
each call. To take them apart, and to find their structure among all, takes 3 µs for
each node and Variable; to see that they are like the last ones takes a fifth of that.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from itertools import repeat
from operator import is_
from typing import Any, NamedTuple

from .. import _guard as guard
from .._engine._lift import Flat
from .._graph import (
    NODE,
    VAR,
    GraphDef,
    Looks,
    alike,
    object_tokens,
    objects_of,
    of_classes_now,
)
from .._objects import class_edits, clock, get_meta, versions
from .._objects._plain import own_object


class _Root(NamedTuple):
    """An argument: its token, the range of its objects, and which these were.

    The structure is known where its objects are the first of the call.
    """

    token: Any
    graphdef: GraphDef[Any] | None
    start: int
    stop: int
    ref: weakref.ref
    idents: frozenset[int]
    versions: list[int]
    plain: Looks

    def found_in(self, root: Any, objects: list[Any]) -> frozenset[int] | None:
        """What another argument of this structure consists of.

        Args:
            root: the argument.
            objects: where its objects are put, by index.

        Returns:
            Their identities; None where the argument is not alike.
        """
        kept = objects_of(root, self.graphdef)
        if kept is not None:
            objects[self.start : self.stop] = kept
        elif not alike(self.token, root, objects):
            return None
        own = objects[self.start : self.stop]
        idents = frozenset(_idents(own) if self.plain else map(id, own))
        return idents if len(idents) == len(own) and guard.all_eager(own) else None


class Likeness:
    """What a call with some objects tells of calls with others.

    It keeps none of the objects alive.

    Args:
        flat: the arguments `((args, kwargs), captured)`, taken apart.
        roots: the objects among the positional arguments, each an argument.
    """

    __slots__ = ("_clocks", "_flat", "_metas", "_objects", "_roots")

    def __init__(self, flat: Flat, roots: Sequence[Any]):
        self._clocks = [clock.now] * len(roots)
        self._objects: list[Any] = [None] * len(flat.objects)
        self._metas = list(map(get_meta, flat.variables))
        self._flat = Flat.like(flat, [None] * len(flat.objects))
        self._flat.graphdef  # noqa: B018  # interned once
        self._roots: list[_Root] = []
        for root, token in zip(roots, _objects_among(flat.token), strict=True):
            start = token[2]
            stop = 1 + max([below[2] for below in object_tokens(token)])
            own = flat.objects[start:stop]
            inside = {n: flat.plain[n] for n in range(start, stop) if n in flat.plain}
            plain = Looks(inside, flat.objects)
            self._objects[start:stop] = plain.watch(flat.objects)[start:stop]
            idents, found = frozenset(_idents(own)), versions(flat.objects)
            plain.fill_in(found, 0)
            ref, found = weakref.ref(root), found[start:stop]
            graphdef = None if start else GraphDef(token)
            known = _Root(token, graphdef, start, stop, ref, idents, found, plain)
            self._roots.append(known)

    @classmethod
    def of(cls, flat: Flat, roots: Sequence[Any], args: tuple) -> Likeness | None:
        """The likeness of a call; None where more than structure is to be compared."""
        if flat.places or flat.statics or flat.trees:
            return None
        given = [arg for arg in args if any(arg is root for root in roots)]
        alone = len(given) == len(roots) == len(_objects_among(flat.token))
        return cls(flat, roots) if alone else None

    def flat_of(self, roots: Sequence[Any]) -> Flat | None:
        """Other objects taken apart; None where they are not alike."""
        if len(roots) != len(self._roots):
            return None
        objects: list[Any] = [None] * len(self._objects)
        idents: list[frozenset[int]] = []
        for i, (root, known) in enumerate(zip(roots, self._roots, strict=True)):
            if known.ref() is root and self._is_as_it_was(i, objects):
                idents.append(known.idents)
            elif (found := known.found_in(root, objects)) is not None:
                idents.append(found)
            else:
                return None
        if len(idents) > 1 and len(frozenset().union(*idents)) != sum(map(len, idents)):
            return None
        flat = Flat.like(self._flat, objects)
        return flat if list(map(get_meta, flat.variables)) == self._metas else None

    def _is_as_it_was(self, i: int, objects: list[Any]) -> bool:
        """Whether a root is as it was; puts its objects among all by index."""
        known, now = self._roots[i], clock.now
        if known.plain and not known.plain.hold():
            return False
        own = slice(known.start, known.stop)
        objects[own] = [ref() for ref in self._objects[own]]
        known.plain.fill_in(objects)
        if self._clocks[i] == now:
            return True
        if any(map(is_, objects[own], repeat(None))):
            return False
        if class_edits.now and not of_classes_now(known.token):
            return False
        found: list[Any] = [0] * len(objects)
        found[own] = versions(objects[own])
        known.plain.fill_in(found, 0)
        if found[own] != known.versions:
            return False
        self._clocks[i] = now
        return True


def _idents(objects: list[Any]) -> list[int]:
    return [id(own_object(obj)) for obj in objects]


def _objects_among(token: Any) -> list[Any]:
    """The tokens of objects that are positional arguments."""
    ((positional, _), _) = (token[4][0][4], token[4][1])
    return [one for one in positional[4] if one[0] in (NODE, VAR)]
