"""Copies of configuration: what a compiled call has made is made anew in each call."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._values import ATOM_SET, BOTH, VALUE, namespace_of, rule_of


def copied(value: Any, kept: Mapping[int, Any]) -> Any:
    """A copy of all in a static value that a program can edit.

    Functions, classes, state, and what libraries define stay what they are.

    Args:
        value: the value.
        kept: by its identity, what stays itself.
    """
    return _Copier(kept).copy(value)


class _Copier:
    def __init__(self, kept: Mapping[int, Any]):
        self.done = dict(kept)
        self.alive: list[Any] = []  # an id is no other object's while its object lives

    def copy(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOM_SET or issubclass(kind, type):
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        self.alive.append(value)
        if kind in (tuple, frozenset):
            new: Any = kind([self.copy(item) for item in value])
        elif issubclass(kind, np.ndarray):
            new = value.copy()
        elif rule_of(kind) in (VALUE, BOTH) or kind in (list, dict, set, deque):
            return self._of_object(value)
        else:
            new = value
        self.done[id(value)] = new
        return new

    def _of_object(self, value: Any) -> Any:
        """The copy of a container or object, which may lead back to it."""
        try:
            new = self.done[id(value)] = copy.copy(value)
        except (TypeError, AttributeError):  # it cannot be copied
            self.done[id(value)] = value
            return value
        if isinstance(value, dict):
            new.update([(key, self.copy(item)) for key, item in value.items()])
        elif isinstance(value, list | deque):
            for i, item in enumerate(value):
                new[i] = self.copy(item)
        elif isinstance(value, set):
            new.clear()
            new.update(map(self.copy, value))
        for name, item in zip(*namespace_of(value, []), strict=True):
            object.__setattr__(new, name, self.copy(item))
        return new
