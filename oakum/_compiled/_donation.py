"""What a compiled call gives away."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
