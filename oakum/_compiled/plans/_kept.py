"""The objects of a plan: which it keeps alive, and which may go."""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from ..._graph import Looks
from ..._objects import Variable


class Kept:
    """The objects of one set of arguments, by index.

    Variables are kept alive. Nodes are not, nor are the arguments themselves: a child
    may refer back to its root, which must be free to go.

    Args:
        flat: the arguments, taken apart: a `Flat`.
        nodes: the indices of what is no Variable.
        roots: the arguments and captured objects.

    Attributes:
        variables: the Variables in canonical order.
        inner: all objects that are kept alive; None for the others.
    """

    __slots__ = (
        "_asleep",
        "_kin",
        "_loose",
        "_nodes",
        "_plain",
        "_refs",
        "inner",
        "variables",
    )

    def __init__(self, flat: Any, nodes: Sequence[int], roots: Sequence[Any]):
        objects, plain = flat.objects, flat.plain
        loose = {id(root) for root in roots if isinstance(root, Variable)}
        self._loose = bool(loose)
        self.variables: Any = flat.variables
        self.inner: Any = _without(objects, nodes)
        if loose:
            self.variables = Loosely(flat.variables, loose)
            self.inner = [None if id(obj) in loose else obj for obj in self.inner]
        self._nodes = nodes
        if loose or plain:
            numbers = [i for i, obj in enumerate(self.inner) if obj is None]
            self._nodes = [i for i in numbers if i not in plain]
        self._plain = Looks(plain, objects)
        note = self._plain.gone.append if plain else None
        self._refs = [weakref.ref(objects[i], note) for i in self._nodes]
        self._asleep: list[Any] | None = None
        self._kin = object()  # shared by plans of the same objects

    def objects(self) -> list[Any]:
        """All objects by index; None for those that are gone."""
        if self._asleep is not None:
            objects = [ref() for ref in self._asleep]
            self._plain.fill_in(objects)
            return objects
        objects = list(self.inner)
        for number, ref in zip(self._nodes, self._refs, strict=True):
            objects[number] = ref()
        self._plain.fill_in(objects)
        return objects

    def _sleep(self, objects: list[Any]) -> None:
        """Keeps none of the objects alive any more."""
        self._asleep = self._plain.watch(objects)
        self.inner = self.variables = None

    def _wake(self, numbers: list[int]) -> list[Any]:
        """Takes the objects again.

        Args:
            numbers: the indices of the Variables.

        Returns:
            All objects by index.
        """
        objects = self.objects()
        self._asleep = None
        self.inner = _without(objects, (*self._nodes, *self._plain.numbers))
        self.variables = [objects[i] for i in numbers]
        return objects

    def _is_kin_of(self, other: Kept) -> bool:
        """Whether another plan keeps the very same objects."""
        if self._kin is other._kin:
            return True
        if self._plain or other._plain or other._asleep is not None:
            return False
        mine, others = self.objects(), other.objects()
        if len(mine) != len(others) or not all(map(operator.is_, mine, others)):
            return False
        if any(map(operator.is_, mine, repeat(None))):
            return False
        other._kin = self._kin
        return True


def _without(objects: list[Any], numbers: Sequence[int]) -> list[Any]:
    left: list[Any] = objects.copy()
    for number in numbers:
        left[number] = None
    return left


class Loosely:
    """A row of Variables of which some are not kept alive: 50 ns for each when read.

    Args:
        variables: all of them.
        loose: the identities of those that are not to be kept.
    """

    __slots__ = ("_refs",)

    def __init__(self, variables: Sequence[Variable], loose: set[int]):
        self._refs = [
            weakref.ref(v) if id(v) in loose else functools.partial(_itself, v)
            for v in variables
        ]

    def __iter__(self) -> Iterator[Any]:
        return iter([ref() for ref in self._refs])

    def __len__(self) -> int:
        return len(self._refs)


def _itself(value: Any) -> Any:
    return value
