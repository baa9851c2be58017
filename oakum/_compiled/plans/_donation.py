"""What a compiled call gives away, what it copies first, and what it does not keep."""

from __future__ import annotations

import operator
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._compat._programs import may_run_again
from ..._objects import Variable, get_value
from ._results import Results


class Donation(NamedTuple):
    """What a call gives away: one value, so that another thread sees old or new.

    Attributes:
        positions: of the inputs that are given away.
        pick: takes these from all inputs.
        kinds: the types of what was given away when the function was made.
        function: gives them away.
        unshared: the same function, which gives nothing away.
    """

    positions: tuple[int, ...]
    pick: Callable[[Any], Any]
    kinds: set[type]
    function: Callable[..., Results]
    unshared: Callable[..., Results]

    @classmethod
    def of(
        cls,
        positions: tuple[int, ...],
        values: Sequence[Any],
        function: Callable[..., Results],
        unshared: Callable[..., Results],
    ) -> Donation:
        """What a call with these inputs gives away.

        Args:
            positions: of the inputs that are given away, at least one.
            values: the inputs.
            function: gives them away.
            unshared: gives nothing away.
        """
        first = positions[0]
        one = len(positions) == 1
        items = (slice(first, first + 1),) if one else positions
        pick = operator.itemgetter(*items)
        return cls(positions, pick, set(map(type, pick(values))), function, unshared)


def _size_of(donation: Donation, values: list[Any]) -> int:
    """Bytes of what is given away; some 1 µs for each array."""
    return sum([getattr(values[i], "nbytes", 0) for i in donation.positions])


def _is_most(donation: Donation, values: list[Any], held: list[int]) -> bool:
    """Whether most of it is held, so that to keep all costs no more than a copy."""
    size = sum([getattr(values[i], "nbytes", 0) for i in held])
    return 2 * size >= _size_of(donation, values)


@jax.jit
def _copy_together(arrays: list[jax.Array]) -> list[jax.Array]:
    return list(map(jnp.copy, arrays))


def copy_all(values: list[Any]) -> list[Any]:
    """Copies of arrays and pytrees of them, by one program for each sharding."""
    leaves, treedef = jax.tree.flatten(values)
    groups: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, jax.Array):
            groups.setdefault((leaf.sharding, leaf.committed), []).append(i)
    for numbers in groups.values():
        copies = _copy_together([leaves[i] for i in numbers])
        for i, copy in zip(numbers, copies, strict=True):
            leaves[i] = copy
    return jax.tree.unflatten(treedef, leaves)


def _references_of_one() -> int:
    """References to an array that a Variable alone holds, as `unshare` counts them."""
    variables = [Variable.from_metadata(object(), {})]
    values = list(map(get_value, variables))
    return max(map(sys.getrefcount, operator.itemgetter(0, 0)(values))) - 1


_ALONE = _references_of_one()
_HELD_CALLS = 2  # calls that copy before a second program is compiled
_LOOKED_AT_EACH = 64  # calls, of which one looks how large the state is
_SMALL = 1 << 28  # bytes of state that may lie in memory twice without a thought


def unshare(
    donation: Donation, entry: Any, values: list[Any]
) -> Callable[..., Results]:
    """The function to call, once no array that it takes is held by somebody else.

    Held arrays are copied by one program. Where most is held, or all is small, and
    that again and again (an average by reference, `update` from kept arrays), the
    same program without donation costs less: a held array costs nothing there.

    Args:
        donation: what the call gives away.
        entry: the compiled function, which counts such calls.
        values: the inputs; those that are held become copies.
    """
    if may_run_again():
        return donation.unshared
    taken = donation.pick(values)
    counts = list(map(sys.getrefcount, taken))
    if max(counts) <= _ALONE and set(map(type, taken)) == donation.kinds:
        return donation.function
    del taken
    held = [
        position
        for position, count in zip(donation.positions, counts, strict=True)
        if count > _ALONE or type(values[position]) not in donation.kinds
    ]
    entry.held_calls += 1
    if entry.held_calls > _HELD_CALLS:
        if entry.held_calls % _LOOKED_AT_EACH == _HELD_CALLS + 1:
            entry.keeps_small = _size_of(donation, values) <= _SMALL
        if entry.keeps_small or _is_most(donation, values, held):
            return donation.unshared
    copies = copy_all([values[position] for position in held])
    for position, copy in zip(held, copies, strict=True):
        values[position] = copy
    return donation.function


class DeferInterrupt:
    """Holds back Ctrl-C in the main thread until the block is done."""

    def __enter__(self) -> None:
        self.pending: list[Any] = []
        self.previous: Any = None
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.getsignal(signal.SIGINT)
            if callable(self.previous):
                signal.signal(signal.SIGINT, lambda *args: self.pending.append(args))

    def __exit__(self, *exc: object) -> None:
        if callable(self.previous):
            signal.signal(signal.SIGINT, self.previous)
            for args in self.pending:
                self.previous(*args)
