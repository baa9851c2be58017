"""The numbers, texts and arrays that a jitted function reads beside its arguments.

They are compiled in, which is wrong as soon as their name, attribute or item holds
another. So what the code reads is followed: from a name of an enclosing function, a
global, a default or a method's object, by attributes and constant items, into the
functions that it calls. To take every attribute of a mentioned name for read would not
do: where a program counts in one of that name, each call would be traced anew.
"""

from __future__ import annotations

import sys
from collections.abc import Container
from types import (
    CellType,
    CodeType,
    FunctionType,
)
from typing import Any

from ..._statics import mentioned_names
from ._code import (
    ATTRIBUTE,
    CELL,
    EDIT_ATTRIBUTE,
    EDIT_ITEM,
    GLOBAL,
    ITEM,
    KEEP,
    LOCAL,
    MODULE,
    kept_once,
    operations,
)
from ._noted import NOTHING
from ._steps import Step
from ._values import Values

_MOST = 64  # that are looked at in each call
_MANY = 1000  # functions, and objects of others, that are looked through


def numbers_of(function: Any, edited: Container[tuple]) -> tuple[list[Step], list[Any]]:
    """The steps to numbers and arrays that a function reads, and iterators it uses.

    Args:
        function: the user's function.
        edited: container and key of what its own runs edit, such as a count of traces.
    """
    reader = _Reader()
    reader.use(function)
    looked = -1
    while reader.queue or looked < len(reader.loose) < _MANY:
        looked = len(reader.loose)
        while reader.queue and len(reader.seen) < _MANY:
            reader.read_function(*reader.queue.popleft())
        reader.queue.clear()
        # What an attribute of theirs leads to may mention others.
        for value in list(reader.loose):
            reader.read_mentioned(value)
    steps = [
        step
        for step, kind in reader.found.values()
        if not reader.edits(step, kind) and step.place not in edited
    ]
    # Methods last, which few programs bind anew.
    steps = sorted(steps, key=lambda s: isinstance(s.container, type))[:_MOST]
    return steps, reader.drawn


class _Reader(Values):
    """Reads code, function by function."""

    def read_function(self, function: FunctionType, first: tuple) -> None:
        """Reads the code of a function, and of those that are defined in it.

        Args:
            function: the function.
            first: its first arguments, so far as they are known.
        """
        code, space = function.__code__, function.__globals__
        cells: dict[str, Any] = dict(
            zip(code.co_freevars, function.__closure__ or (), strict=True)
        )
        self.owner |= {id(cell): function for cell in cells.values()}
        self.mentioned.update(mentioned_names(code))
        names = code.co_varnames[: code.co_argcount]
        known = dict(zip(names, first, strict=False))
        defaults = function.__defaults__ or ()
        if defaults:
            known = dict(zip(names[-len(defaults) :], defaults, strict=True)) | known
        known |= function.__kwdefaults__ or {}
        self._read_code(code, cells, space, known)
        if (wrapped := getattr(function, "__wrapped__", None)) is not None:
            self.use(wrapped)

    def _read_code(self, code: CodeType, cells: dict, space: dict, known: dict) -> None:
        self.note_bound(code, cells, space)
        value = NOTHING
        once = kept_once(code)
        for kind, name in operations(code):
            if kind == ATTRIBUTE:
                value = self.attribute(value, name)
            elif kind == ITEM:
                value = self.item(value, name)
            elif kind == EDIT_ATTRIBUTE:
                self.set_names.add(name)
                value = NOTHING
            elif kind == KEEP and name in once:
                known[name] = value
                value = NOTHING
            else:
                if kind == EDIT_ITEM:
                    self.set_items.add(id(value))
                elif value is not NOTHING:
                    self.use(value)
                value = self._named(kind, name, cells, space, known)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                around = {n: known[n] for n in inner.co_freevars if n in known}
                self._read_code(inner, cells, space, around)

    def _named(
        self, kind: int, name: str, cells: dict, space: dict, known: dict
    ) -> Any:
        """What a name stands for, so far as that is known."""
        if kind == LOCAL or (kind == CELL and name in known):
            return known.get(name, NOTHING)
        if kind == MODULE:
            return sys.modules.get(name, NOTHING)
        if kind == GLOBAL and name in space:
            return self.met(space, name, space[name], GLOBAL)
        if kind == CELL and isinstance(cell := cells.get(name), CellType):
            try:
                return self.met(cell, None, cell.cell_contents, CELL)
            except ValueError:  # not bound yet
                return NOTHING
        return NOTHING
