"""The part of a description that tells of edits, for those who have the objects."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

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

    def cut(token: Any, above: bool) -> Any:
        """The token; `above` where nobody takes what is built of it."""
        tag = token[0]
        if tag == VAR:
            known = token[2] < n_known and token[2] not in edited
            return (REF, token[2]) if known else token
        if tag == TREE:
            if not above:
                children = tuple([cut(child, False) for child in token[4]])
                return (*token[:4], children)
            return _row([cut(child, True) for child in token[4]])
        if tag != NODE:
            return token
        _, form, number, children = token
        known = number < n_known and number not in edited
        if known and above:
            return _row([cut(child, True) for child in children])
        kept = tuple([cut(child, False) for child in children])
        if known and all(map(_is_idle, kept)):
            return (REF, number)
        return (NODE, form, number, kept)

    return cut(token, True)


def _is_idle(token: Any) -> bool:
    if token[0] == TREE:
        return all(map(_is_idle, token[4]))
    return token[0] in _IDLE


def _row(tokens: list[Any]) -> Any:
    """What is left of tokens, one after the other."""
    left = tuple([token for token in tokens if not _is_idle(token)])
    return (TREE, tuple, None, tuple(range(len(left))), left)
