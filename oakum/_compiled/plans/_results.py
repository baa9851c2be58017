"""The outputs of a compiled call, and what they are rebuilt into."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from ..._engine._outcome import Outcome
from ..._graph import LEAF, NODE, OWN, REF, STATIC, TREE, VAR, Decoder

Results = Any
"""The outputs of a compiled call, by the Outcome of the trace that made them.

Where a trace wrote nothing, and returned an array, or tuples and lists of them, they
are that alone, so that the call has nothing left to do. Else a dict of one item.
A dict's keys are part of a pytree's structure, so JAX hands the Outcome of the right
trace back with every call; and a dict, unlike a class of our own, keeps JAX's C++ path
for calls (0.09 ms against 0.80 ms for 50 arrays).
"""


def result_builder(outcome: Outcome) -> Callable[[Any], Any] | None:
    """How to rebuild the result from output leaves; None where objects take part."""
    token = outcome.result
    if not outcome.simple or _has_object(token):
        return None
    if token[0] == LEAF:
        return next
    if token[0] == STATIC:
        return lambda rest: token[1].value
    if token[1] is tuple and all(child[0] == LEAF for child in token[4]):
        n = len(token[4])
        return tuple if not outcome.n_spare else lambda rest: tuple(islice(rest, n))
    return lambda rest: Decoder((), rest).build(token)


def outcome_of(results: Results) -> tuple[Outcome | None, Any]:
    """The Outcome and its leaves; None and what was returned, of a call that read."""
    if type(results) is not dict:
        return None, results
    ((outcome, leaves),) = results.items()
    return outcome, leaves


def as_read(outcome: Outcome, leaves: list[Any]) -> Any:
    """What a run returned that did no more; None where there is more to it."""
    if outcome.written or outcome.n_spare or not outcome.simple:
        return None
    if not _is_plain(outcome.result):
        return None
    return Decoder((), leaves).build(outcome.result)


def _is_plain(token: Any) -> bool:
    """Whether JAX rebuilds a result in C++, to the very same."""
    if token[0] == TREE:
        kind, children = token[1], token[4]
        plain = kind is list or issubclass(kind, tuple)
        return plain and all(map(_is_plain, children))
    return token[0] == LEAF


def _has_object(token: Any) -> bool:
    if token[0] == TREE:
        return any(map(_has_object, token[4]))
    return token[0] in (NODE, OWN, REF, VAR)
