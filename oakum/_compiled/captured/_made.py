"""Whose object a piece of configuration is that a compiled call leaves in a model.

A call that JAX knows runs no Python, so what the traced run left is all there is. What
came in with a model is that of the model of each call; what the function captures is
one for all; what it made is made anew for each call, lest models that have nothing to
do with each other share it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from ..._engine._outcome import Outcome
from ..._graph import NODE, OWN, STATIC, TREE, VAR
from ..._objects import is_array, is_object
from ..._statics import Static, copied
from ._below import below

_MOST = 20_000  # values that are looked at in all


class Made(Static):
    """A static value that is made anew each time that it is asked for.

    Args:
        static: what a function made.
        kept: by its identity, what the function captures, which stays itself.
    """

    def __init__(self, static: Static, kept: dict[int, Any]):
        self._kept = kept
        self._first = copied(static.value, kept)
        self.key = ("made", static.key, tuple(kept))
        self.seen, self.parts = static.seen, ()
        self._hash = hash(self.key)

    @property
    def value(self) -> Any:  # type: ignore[override]
        """A copy of what the function made."""
        return copied(self._first, self._kept)


def hand_on(outcome: Outcome, token: Any, starts: Iterable[Any]) -> None:
    """Says in an Outcome whose each piece of configuration is.

    Args:
        outcome: what a run of a function did.
        token: the structure of its arguments.
        starts: the function, and the classes of the nodes among its arguments.
    """
    if not (_has_own(outcome.roots) or _has_own(outcome.result)):
        return
    came_in: dict[int, tuple] = {}
    _find(token, None, (), came_in)
    maker = _Maker(came_in, starts)
    if outcome.roots is not None:
        outcome.roots = maker.rewrite(outcome.roots)
    outcome.result = maker.rewrite(outcome.result)


def _below_token(token: Any) -> tuple:
    return token[3] if token[0] == NODE else token[4] if token[0] == TREE else ()


def _has_own(token: Any) -> bool:
    """Whether there is a static value that can be edited."""
    if token is None:
        return False
    if token[0] == STATIC:
        return bool(token[1].parts)
    if token[0] == VAR:
        return bool(token[3].parts)
    return any(map(_has_own, _below_token(token)))


def _find(token: Any, number: int | None, keys: tuple, found: dict) -> None:
    """Adds where each static value stands that can be edited: node and keys."""
    if token[0] == STATIC:
        if token[1].parts and number is not None:
            found.setdefault(id(token[1].value), (OWN, number, keys))
    elif token[0] == NODE:
        for (key, _), child in zip(token[1].open, token[3], strict=True):
            _find(child, token[2], (key,), found)
    elif token[0] == TREE:
        inside = issubclass(token[1], tuple) and number is not None
        for i, child in enumerate(token[4]):
            _find(child, number if inside else None, (*keys, i), found)


class _Maker:
    def __init__(self, came_in: dict[int, tuple], starts: Iterable[Any]):
        self.came_in = came_in
        self.starts = list(starts)
        self._captured: dict[int, Any] | None = None

    def captured(self) -> dict[int, Any]:
        """What the function reaches in the ways that are followed, by identity."""
        if self._captured is None:
            names: set[str] = set()
            reached(self.starts, names)  # for the names that code mentions
            self._captured = reached(self.starts, names)
        return self._captured

    def rewrite(self, token: Any) -> Any:
        tag = token[0]
        if tag == STATIC and token[1].parts:
            return self._static(token)
        if tag == VAR and token[3].parts:
            return (*token[:3], Made(token[3], self.captured()))
        if tag == NODE:
            return (*token[:3], tuple(map(self.rewrite, token[3])))
        if tag == TREE:
            return (*token[:4], tuple(map(self.rewrite, token[4])))
        return token

    def _static(self, token: Any) -> Any:
        value = token[1].value
        if id(value) in self.came_in:
            return self.came_in[id(value)]
        if id(value) in self.captured():
            return token
        return (STATIC, Made(token[1], self.captured()))


def reached(starts: list[Any], names: set[str]) -> dict[int, Any]:
    """The values that functions and classes reach, without state, by identity."""
    found: dict[int, Any] = {}
    queue = deque(starts)
    while queue and len(found) < _MOST:
        for _, _, child in below(queue.popleft(), names):
            if id(child) not in found and not (is_object(child) or is_array(child)):
                found[id(child)] = child
                queue.append(child)
    return found
