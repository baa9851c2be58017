"""What a GraphDef has of each node and Variable, for programs that ask for its `nodes`.

Imported on use: two dataclasses take a millisecond to make.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from ._graphdef import NODE, TREE, VAR


@dataclasses.dataclass(frozen=True)
class NodeDef:
    """A node of a GraphDef: its class, and its number among nodes and Variables."""

    type: type
    index: int


@dataclasses.dataclass(frozen=True)
class VariableDef:
    """A Variable of a GraphDef: its type, and its number among nodes and Variables."""

    type: type
    index: int


def definitions(token: Any) -> Iterator[NodeDef | VariableDef]:
    """Each node and Variable below a token, in canonical order."""
    tag = token[0]
    if tag == VAR:
        yield VariableDef(token[1], token[2])
    elif tag == NODE:
        yield NodeDef(token[1].cls, token[2])
        for child in token[3]:
            yield from definitions(child)
    elif tag == TREE:
        for child in token[4]:
            yield from definitions(child)
