"""The part of a description that tells of edits, for those who have the objects."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple

from ._graphdef import ARG, KEPT, NODE, REF, STATIC, TREE, VAR

_IDLE = (REF, STATIC, KEPT, ARG)  # to build these takes no value, and changes nothing


def edits_alone(token: Any, edited: Set[int], n_known: int) -> Any:
    """A description of known objects, cut down to what was edited and what is new.

    To build it fills the edited objects, and makes the new ones, as the whole would; of
    each other object there is a reference.

    Args:
        token: the description of the arguments.
        edited: the indices of the objects that were edited.
        n_known: how many objects the builder has already.
    """
    return _Cut(edited, n_known).token(token, True)


class _Cut(NamedTuple):
    """Cuts descriptions down; the arguments are those of `edits_alone`."""

    edited: Set[int]
    n_known: int

    def token(self, token: Any, above: bool) -> Any:
        """The token; `above` where nobody takes what is built of it."""
        tag = token[0]
        if tag == VAR:
            return (REF, token[2]) if self._is_as_it_was(token[2]) else token
        if tag == TREE and above:
            return self._row(token[4])
        if tag == TREE:
            return (*token[:4], self._each(token[4]))
        return self._node(token, above) if tag == NODE else token

    def _node(self, token: Any, above: bool) -> Any:
        _, form, number, children = token
        known = self._is_as_it_was(number)
        if known and above:
            return self._row(children)
        kept = self._each(children)
        if known and all(map(_is_idle, kept)):
            return (REF, number)
        return (NODE, form, number, kept)

    def _is_as_it_was(self, number: int) -> bool:
        return number < self.n_known and number not in self.edited

    def _each(self, tokens: tuple) -> tuple:
        return tuple([self.token(token, False) for token in tokens])

    def _row(self, tokens: tuple) -> Any:
        """What is left of tokens that nobody takes, one after the other."""
        cut = [self.token(token, True) for token in tokens]
        left = tuple([token for token in cut if not _is_idle(token)])
        return (TREE, tuple, None, tuple(range(len(left))), left)


def _is_idle(token: Any) -> bool:
    if token[0] == TREE:
        return all(map(_is_idle, token[4]))
    return token[0] in _IDLE
