"""What the code of a jitted function was found to read and to edit, note by note."""

from __future__ import annotations

import enum
from types import CodeType
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._code import ATTRIBUTE, ITEM, bound_anew
from ._steps import Step, step_of_values

COMPARED = (
    *(int, float, complex, np.generic, jax.Array, np.ndarray),
    *(str, bytes, enum.Enum, type(None)),
)
"""What is computed with, and compared in each call."""
NOTHING: Any = object()
"""A value of which nothing more is to be known."""


class Noted:
    """What was found so far.

    Attributes:
        found: the steps, by container and key, and by what operation each is read.
        way: by its identity, the step to a value that is no number.
        owner: the object or function that has a container, by identity.
        set_names: the attributes that code sets.
        set_items: the lists and dicts whose items it sets, by identity.
        bound: globals and cells that it binds, by container and key.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[int, Any], tuple[Step, int]] = {}
        self.way: dict[int, tuple[Step, int]] = {}
        self.owner: dict[int, Any] = {}
        self.set_names: set[str] = set()
        self.set_items: set[int] = set()
        self.bound: set[tuple[int, Any]] = set()

    def edits(self, step: Step, kind: int) -> bool:
        """Whether the code itself edits what a step leads to."""
        if kind == ATTRIBUTE:
            return step.key in self.set_names
        if kind == ITEM:
            return id(step.container) in self.set_items
        return step.place in self.bound

    def note_bound(self, code: CodeType, cells: dict, space: dict) -> None:
        for name in bound_anew(code):
            self.bound.add(
                (id(cells.get(name, space)), None if name in cells else name)
            )

    def met(self, container: Any, key: Any, value: Any, kind: int) -> Any:
        """What was read, which is noted where it is a number or an array."""
        step = Step(container, key, value)
        if isinstance(value, Tracer) or not isinstance(value, COMPARED):
            self.way.setdefault(id(value), (step, kind))  # which keeps the value
            return value
        self.note(step, kind)
        if isinstance(value, np.ndarray):
            self.note(step_of_values(value), ITEM)
        return NOTHING

    def note(self, step: Step, kind: int) -> None:
        """Notes a step, and those that led to what has it."""
        while step.place not in self.found:
            self.found[step.place] = step, kind
            owner = self.owner.get(id(step.container), step.container)
            if id(owner) not in self.way:
                return
            step, kind = self.way[id(owner)]

    def own(self, value: Any) -> dict:
        """The attributes of an object itself."""
        own = getattr(value, "__dict__", None)
        if type(own) is not dict:
            return {}
        self.owner[id(own)] = value
        return own
