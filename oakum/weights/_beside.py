"""What a file has beside the arrays of a layer, such as the batches that it has seen.

No array of the layer holds it and nothing depends on it, so it is no part of the model:
`load` keeps it with the layer's object, and `save` writes it again.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np

from ._places import Slot
from .files._source import Source

_Kept = dict[tuple[int, ...], dict[str, np.ndarray]]  # by the number in a stack
# By identity, since layers may compare by value.
_kept: dict[int, tuple[weakref.ref, _Kept]] = {}


def keep_beside(slots: list[Slot], source: Source) -> None:
    """Remembers what the file had beside the arrays of these slots."""
    for slot in slots:
        found = {
            name: np.array(source.view(full))
            for name, full, _ in _scalars(slot)
            if full in source.tensors and source.shape(full) in ((), (1,))
        }
        if found:
            _of_layer(slot.leaf.layer)[slot.index] = found


def beside(slot: Slot) -> Iterator[tuple[str, np.ndarray]]:
    """What a file is to have beside the array of a slot, with full names."""
    _, kept = _kept.get(id(slot.leaf.layer), (None, {}))
    known = kept.get(slot.index, {})
    for name, full, default in _scalars(slot):
        yield full, known.get(name, default)


def _scalars(slot: Slot) -> Iterator[tuple[str, str, np.ndarray]]:
    form = slot.leaf.form
    if form is None or form.beside is None:
        return
    prefix = slot.refs[0].name.removesuffix(form.names[0])
    for name, default in form.beside(slot.leaf.layer).items():
        yield name, prefix + name, default


def _of_layer(layer: object) -> _Kept:
    key = id(layer)
    if key not in _kept:
        _kept[key] = weakref.ref(layer, lambda _: _kept.pop(key, None)), {}
    return _kept[key][1]
