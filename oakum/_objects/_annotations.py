"""Attributes whose kind stands in an annotation: `nnx.Data[T]` and `nnx.Static[T]`.

    class Block(nnx.Module):
        skip: nnx.Data[nnx.Linear | None]

marks `skip` as data in every instance, whatever its value.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, get_args, get_origin

from .._compat import annotations_of

A = TypeVar("A")
DataAnnotation = Annotated[A, "oakum.data"]
StaticAnnotation = Annotated[A, "oakum.static"]

_KINDS = {"oakum.data": "data", "oakum.static": "static"}
_BY_NAME = {"Data": "data", "Static": "static"}


def annotated_kinds(cls: type) -> dict[str, str]:
    """The kind of each attribute that a class's own annotations mark."""
    found = {name: _kind(hint) for name, hint in annotations_of(cls).items()}
    return {name: kind for name, kind in found.items() if kind}


def _kind(hint: Any) -> str | None:
    if isinstance(hint, str):
        return _kind_of_text(hint)
    if get_origin(hint) is Annotated:
        notes = [note for note in get_args(hint)[1:] if isinstance(note, str)]
        return next((_KINDS[note] for note in notes if note in _KINDS), None)
    return None


def _kind_of_text(hint: str) -> str | None:
    """The same as it stands under `from __future__ import annotations`."""
    name, bracket, _ = hint.strip().partition("[")
    *modules, last = name.rstrip().split(".")
    written = bracket and all(map(str.isidentifier, modules))
    return _BY_NAME.get(last) if written else None
