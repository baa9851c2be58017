"""Bare arrays inside of objects, where several functions are to have the same outputs.

The branches of `cond`, or a function and its `fwd`, each set some bare arrays or none.
So each of them gives all, as it gives all Variables' values; what none of them set is
left alone in the end.
"""

from __future__ import annotations

from typing import Any

from ._lift import Flat, leaf_in_tree, objects_alone
from ._outcome import Outcome


def take_bare(
    outcome: Outcome, flat: Flat, leaves: list[Any], rest: list[Any]
) -> tuple[list[Any], list[Any]]:
    """The bare arrays after a run, and its other outputs.

    Where at most these changed, the Outcome no longer tells of it. Of what changed its
    structure, all stands in the other outputs.

    Args:
        outcome: what the run did.
        flat: its arguments, taken apart.
        leaves: the bare arrays that it got.
        rest: its outputs after the values of Variables that were there before.
    """
    if outcome.roots is None or outcome.roots != objects_alone(flat.token):
        return leaves, rest
    first = len(rest) - outcome.n_leaves
    bare, after = rest[first : first + len(leaves)], rest[first + len(leaves) :]
    outcome.emitted = tuple([i for i in outcome.emitted if i >= outcome.n_known])
    outcome.n_leaves -= len(leaves)
    outcome.roots = None
    return bare, rest[:first] + after


def put_bare(
    outcome: Outcome, flat: Flat, bare: list[Any], filled: set[int], rest: list[Any]
) -> list[Any]:
    """The outputs for a commit, with the bare arrays that were set.

    Args:
        outcome: what the runs did; it tells of the bare arrays again.
        flat: the arguments.
        bare: the bare arrays in the end.
        filled: the numbers of those that were set.
        rest: as `take_bare` gives it.
    """
    if not filled or outcome.roots is not None:
        return rest
    outcome.roots = objects_alone(flat.token)
    outcome.restructured = leaf_in_tree(flat.token)
    outcome.emitted = (*flat.numbers, *outcome.emitted)
    pairs = enumerate(zip(bare, flat.values().bare, strict=True))
    leaves = [new if i in filled else old for i, (new, old) in pairs]
    outcome.n_leaves += len(leaves)
    first = len(rest) - (outcome.n_leaves - len(leaves))
    return rest[:first] + leaves + rest[first:]


def differing(new: list[Any], old: list[Any]) -> set[int]:
    """The numbers of the values that are not those from before."""
    pairs = enumerate(zip(new, old, strict=True))
    return {i for i, (a, b) in pairs if a is not b}
