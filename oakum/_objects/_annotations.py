"""Attributes whose kind stands in an annotation: `nnx.Data[T]` and `nnx.Static[T]`.

    class Block(nnx.Module):
        skip: nnx.Data[nnx.Linear | None]

marks `skip` as data in every instance, whatever its value.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar, get_args, get_origin

from .._compat import annotations_of

A = TypeVar("A")
DataAnnotation = Annotated[A, "oakum.data"]
StaticAnnotation = Annotated[A, "oakum.static"]

_KINDS = {"oakum.data": "data", "oakum.static": "static"}
# As they stand under `from __future__ import annotations`, with or without a module.
_TEXT = re.compile(r"\s*(?:\w+\.)*(Data|Static)\s*\[")


def annotated_kinds(cls: type) -> dict[str, str]:
    """The kind of each attribute that a class's own annotations mark."""
    found = {name: _kind(hint) for name, hint in annotations_of(cls).items()}
    return {name: kind for name, kind in found.items() if kind}


def _kind(hint: Any) -> str | None:
    if isinstance(hint, str):
        match = _TEXT.match(hint)
        return match and match[1].lower()
    if get_origin(hint) is Annotated:
        notes = [note for note in get_args(hint)[1:] if isinstance(note, str)]
        return next((_KINDS[note] for note in notes if note in _KINDS), None)
    return None
