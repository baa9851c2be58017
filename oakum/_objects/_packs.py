"""Who is told when a Variable in a pack is written past it.

A compiled step may keep the values of Variables elsewhere, in a pack, while their slots
are empty (`_compiled/_packing.py`). Whoever reads an empty slot asks the pack; whoever
writes reads first, and is seen by that. Only the engine writes what it has read a while
before, and another thread may have packed it since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

formed = [0]
"""How often any pack was joined: who has written since then calls `loosen`."""


def loosen(variables: Iterable[Any]) -> None:
    """Tells the packs of Variables that these have values of their own."""
    for variable in variables:
        try:
            pack, _ = variable._oakum_pack
        except AttributeError:
            continue
        with pack.lock:
            pack.whole = False
