"""Values of captured state that are handed out, which may then be used or not.

`to_pure_dict` gives all arrays of a state, of which a program may want the shapes
alone, or use others in their place. So nothing is told there: it is when the program
has been recorded, of the arrays that became constants of it. As a frame ends nothing
can be raised: an error waits, as that of a lost update does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .._compat import (
    caller_of_program,
    caller_of_trees,
    held_by_programs,
    recorded_constants,
    watch_call,
)
from ..errors import OakumWarning
from ._report import stale_read, tell_stale_read
from ._trace import context, postpone

_watched: dict[int, list[tuple]] = {}
"""The reads of each program, by the frame of JAX that has it recorded."""


@contextlib.contextmanager
def handing_out(to_trees: bool = False) -> Iterator[None]:
    """Reads of Variables inside hand their arrays out.

    Args:
        to_trees: whether to a function over pytrees: one that the user called, or what
            JAX does with arguments and results, which is a use.
    """
    before, context.hands_out = context.hands_out, _TO_TREES if to_trees else True
    try:
        yield
    finally:
        context.hands_out = before


_TO_TREES = "trees"


def note_handed_out(variable: Any) -> bool:
    """Notes a read of captured state, to be told of if its array becomes a constant.

    Returns:
        Whether the program can be watched; else it is to be told of now.
    """
    if context.hands_out == _TO_TREES and caller_of_trees()[1] != "user":
        return False
    constants, program = recorded_constants(), caller_of_program()
    if program is None or constants() is None:
        return False
    if program not in _watched and not _watch(program, constants):
        return False
    found = stale_read(variable)
    if found is not None:
        _watched[program].append((variable, variable._raw, found))
    return True


def _watch(program: int, constants: Callable[[], set[int] | None]) -> bool:
    reads: list[tuple] = []
    held: set[tuple[int, int]] = set()

    def tell(used: set[int]) -> None:
        found = [read for read in reads if id(read[1]) in used]
        reads[:] = [read for read in reads if id(read[1]) not in used]
        for read in found:
            _tell(read)

    def left() -> None:
        tell(constants() or set())
        held.update(_held(reads))

    def ended(finished: bool) -> None:
        _watched.pop(program, None)
        if finished:  # what the function returned is a constant by now
            tell({array for _, array in _held(reads) - held})
        reads.clear()

    if not watch_call(program, left, ended):
        return False
    _watched[program] = reads
    return True


def _held(reads: list[tuple]) -> set[tuple[int, int]]:
    return held_by_programs([array for _, array, _ in reads]) if reads else set()


def _tell(read: tuple) -> None:
    variable, _, found = read
    try:
        tell_stale_read(variable, *found)
    except OakumWarning as error:
        postpone(error)
