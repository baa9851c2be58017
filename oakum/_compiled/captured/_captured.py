"""The state that one jitted function captures, and by which steps it finds it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..._guard import ROOT, current_trace, is_alive
from ._sources import static_values, steps_to, unfollowed_warning
from ._steps import Step


class Captured:
    """What a function was found to capture so far.

    Args:
        function: the user's function.

    Attributes:
        steps: from the function to these objects.
        unfollowed: those that no step leads to.
    """

    def __init__(self, function: Callable[..., Any]):
        self.steps: Sequence[Step] = ()
        self.unfollowed: list[Any] = []
        self._function = function
        self._by_id: dict[int, Any] = {}
        self._followed: set[int] = set()  # what a step has led to
        self._told = False

    def __bool__(self) -> bool:
        return bool(self._by_id)

    @property
    def objects(self) -> tuple:
        """The objects, in the order in which they were met."""
        return tuple(self._by_id.values())

    def fresh(self, met: Mapping[int, Any]) -> dict[int, Any]:
        """What a trace has met, by identity, that is not among them yet."""
        return {ident: obj for ident, obj in met.items() if ident not in self._by_id}

    def add(self, fresh: Mapping[int, Any]) -> None:
        """Adds what a trace has met."""
        self._by_id.update(fresh)

    def forget(self) -> None:
        """Forgets the objects."""
        self._by_id.clear()

    def holds(self) -> bool:
        """Whether the function finds them, in a trace that is running."""
        if self.unfollowed:
            return False
        return all(map(Step.holds, self.steps)) and all(
            [is_alive(obj) for obj in self._by_id.values()]
        )

    def renew(self) -> None:
        """After a trace, whose own edits are none that the next call is to see."""
        self.steps = [step.renewed() for step in self.steps]

    def follow(self, token: Any) -> bool:
        """Looks for the steps to the objects.

        Args:
            token: the structure of the arguments, which may hold functions.

        Returns:
            Whether each is still where it was; what is not is captured no more.
        """
        self.steps, self.unfollowed = (), []
        if not self:
            return True
        starts = [self._function, *static_values(token)]
        self.steps, left = steps_to(starts, list(self.objects))
        gone = [obj for obj in left if id(obj) in self._followed]
        for obj in gone:  # another object stands where it was found before
            self._by_id.pop(id(obj), None)
            self._followed.discard(id(obj))
        if gone:
            return False
        self._followed |= set(map(id, self.objects)) - set(map(id, left))
        if current_trace() == ROOT:
            self.unfollowed = left
        if self.unfollowed and not self._told:
            self._told = True
            warnings.warn(unfollowed_warning(self._function, left), stacklevel=6)
        return True
