"""Whatever holds a number, a compiled call sees it change, and its writes arrive."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "hazards.md"


@pytest.mark.peer
def test_nothing_that_a_model_holds_goes_wrong_silently():
    pytest.importorskip("equinox")
    import oakum
    from tests.guard import holders

    outcomes = {cell: holders.outcome(oakum, cell) for cell in holders.CELLS}
    assert collections.Counter(outcomes.values()) == {"right": len(outcomes)}
    assert holders.table(outcomes) in PAGE.read_text()
