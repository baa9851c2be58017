"""Whether the objects of a plan are as they were, and where they were."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from ..._graph import Attributes, holds, object_tokens, of_classes_now
from ..._objects import class_edits, clock, versions
from ..._statics import Part, Static, bypassed, places_of, unchanged
from ..captured._steps import Step, look_at
from ._kept import Kept

_RENEWALS = 64  # of a look, where what is no state changes from call to call


class LookedAt(Kept):
    """Objects that a call asks for whether they are as they were.

    Those that are observed tell by their versions, and cost nothing while nothing is
    edited anywhere; others are looked at again in each call.

    Args:
        flat, nodes, roots: as for `Kept`.
        steps: how the function reaches the state that it captures.
        unfollowed: whether it reaches some in a way that cannot be looked at again.

    Attributes:
        token: the structure.
        versions: those of all objects, by index.
        clock: the clock at which the objects were found unchanged; -1 where a call is
            to ask `current` in any case.
        look: what a call is to ask first, where the function captures something; where
            it says no, `current` knows.
    """

    __slots__ = (
        "_attributes",
        "_checked",
        "_edits_of_classes",
        "_parts",
        "_refuted",
        "_renewals",
        "_statics",
        "_steps",
        "_tokens",
        "_trees",
        "_unfollowed",
        "clock",
        "look",
        "token",
        "versions",
    )

    def __init__(
        self,
        flat: Any,
        nodes: Sequence[int],
        roots: Sequence[Any],
        steps: Sequence[Step] = (),
        unfollowed: bool = False,
    ):
        super().__init__(flat, nodes, roots)
        self.token = flat.token
        self._tokens: dict[int, Any] | None = None
        self._steps = steps
        self._unfollowed = unfollowed
        self._refuted = -1
        self._statics, self._trees = flat.statics, flat.trees
        self._parts = _parts_of(flat.statics, flat.trees)
        self._checked, self._edits_of_classes = clock.now, class_edits.now
        self.look, self._renewals = look_at(steps), _RENEWALS
        self._attributes = Attributes(flat.objects) if bypassed.on else None
        self.clock = -1 if unfollowed or self._looks_in_each_call() else self._checked
        self.versions = self._versions(flat.objects)

    def _looks_in_each_call(self) -> bool:
        return bool(self._parts or self._plain or self._attributes)

    def _versions(self, objects: list[Any]) -> list[int]:
        """The versions of all objects; plain lists and dicts have none."""
        found = versions(objects)
        self._plain.fill_in(found, 0)
        return found

    def stands(self) -> bool:
        """Whether a call may go its way: `current`, asked only where it has to be."""
        if self.clock == clock.now and (self.look is None or self.look()):
            return True
        return self.current()

    def current(self) -> bool:
        """Whether the objects are structurally as they were, and where they were."""
        if self._attributes:
            self._attributes.look()
        now = clock.now
        if self._unfollowed or self._refuted == now:
            return False
        if self._plain and not self._plain.hold():
            return False
        if not (self._looks_same() and unchanged(self._parts)):
            return False
        return self._checked == now or self._is_of_versions(now)

    def _is_of_versions(self, now: int) -> bool:
        """Whether no edit until now has left the observed objects otherwise."""
        if self._edits_of_classes != class_edits.now and not self._of_classes_now():
            return False
        objects = self.objects()
        if any(map(operator.is_, objects, repeat(None))):
            return False
        found = self._versions(objects)
        if found != self.versions:
            if not self._still_holds(objects, found):
                self._refuted = now  # until something is edited again
                return False
            self.versions = found
        self._checked = now
        self.clock = -1 if self._looks_in_each_call() else now
        return True

    def _looks_same(self) -> bool:
        """Whether the function finds what it captured, asked step by step if needed."""
        if self.look is None or self.look():
            return True
        if self.rebound():
            return False
        if self._renewals:
            self.look, self._renewals = look_at(self._steps), self._renewals - 1
        return True

    def _of_classes_now(self) -> bool:
        """Whether the classes of all nodes are as they were."""
        if not of_classes_now(self.token):
            return False
        self._edits_of_classes = class_edits.now
        return True

    def _still_holds(self, objects: list[Any], found: list[int]) -> bool:
        """Whether what was edited is again as it was, such as the mode of a layer."""
        if self._tokens is None:
            self._tokens = {token[2]: token for token in object_tokens(self.token)}
        for i in [i for i, old in enumerate(self.versions) if found[i] != old]:
            if not holds(self._tokens[i], objects[i], objects):
                return False
        return True

    def look_anew(self, steps: Sequence[Step]) -> None:
        """Takes configuration as it is now for what was compiled.

        What a trace edits of it, such as a list that counts traces, is no edit that the
        next call is to see.

        Args:
            steps: how the function reaches state now.
        """
        self._steps, self.look = steps, look_at(steps)
        if self._statics or self._trees:
            statics = [static.renewed() for static in self._statics]
            self._parts, self.clock = _parts_of(statics, self._trees), -1

    def looks_at(self, place: Any) -> bool:
        """Whether a call looks at a place again, such as an array of configuration."""
        held = [part for _, part, _ in self._parts]
        held += [step.container for step in self._steps]
        return any([one is place for one in held])

    def rebound(self) -> bool:
        """Whether the function would find other objects than it captured."""
        return not all(map(Step.holds, self._steps))


def _parts_of(statics: Sequence[Static], trees: Sequence[Any]) -> list[Part]:
    """What of static values and of pytrees of others can change unseen."""
    parts = [part for static in statics for part in static.parts]
    return parts + [part for tree in trees for part in places_of(tree)]
