"""Trees that flax.nnx users keep with orbax: states of objects, by path.

They are what `nnx.state`, `nnx.split` or `nnx.to_pure_dict` gave, saved by any of
orbax's ways. An array stands at its path, or below it under `value`; items of lists
are under the text of their index; random keys may be their bits.

Up to flax 0.10 layers shared one Rngs, of all its streams, where each has a stream of
its own now, and an optimizer held its model. A random stream that no layer has here is
left out, and one that the folder lacks stays as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._contents import Item, Spec, is_key
from ._manifest import Leaf, Manifest

Keys = tuple[str, ...]

_HELD_ITS_MODEL = (
    "The optimizer held its model, as up to flax 0.10: name both, "
    "nnx.load(folder, model=model, optimizer=optimizer), or load it into "
    "nnx.ModelAndOptimizer(model, tx, wrt=...), which holds its model too. Else "
)
_BELOW = ((), ("value",), ("raw_value",))


@dataclasses.dataclass
class Tree:
    """What orbax keeps of one object.

    Args:
        folder: where.
        above: the keys of the object in what stands there.
        arrays: the metadata of each of its arrays, by path.
    """

    folder: Path
    above: Keys
    arrays: dict[Keys, Any]


def manifest_of(
    trees: dict[str, Tree], items: list[Item]
) -> tuple[Manifest, list[Item]]:
    """What trees say of objects, as a checkpoint of ours would say it.

    Args:
        trees: one for each object.
        items: the places of state in the objects.

    Returns:
        The manifest, and the items that it is to fill.
    """
    reading = _Reading(trees)
    shared = bool(_shared_streams(trees, items))
    wanted = [
        item
        for item in items
        if reading.add(item) or not (shared and _is_stream(item.path))
    ]
    reading.add_left()
    return reading.manifest, wanted


class _Reading:
    """A manifest in the making, and what of the trees it has so far."""

    def __init__(self, trees: dict[str, Tree]) -> None:
        self.manifest = Manifest(trees)
        self._trees = trees
        self._numbers: dict[int, int] = {}  # of Variables, by their ids
        self._taken: dict[str, set[Keys]] = {name: set() for name in trees}

    def add(self, item: Item) -> bool:
        """Lists an item; whether the trees have it."""
        if item.same is not None:
            self.manifest.add(item)
            return True
        leaves = dict(_leaves(item, self._trees[item.path[0]]))
        self._taken[item.path[0]].update(leaves)
        number = self._numbers.get(id(item.value)) if item.is_variable else None
        if number is None and leaves:
            number = self._number(item.kind, list(leaves.values()))
            if item.is_variable:
                self._numbers[id(item.value)] = number
        if number is not None:
            self.manifest.add(item, number)
        return number is not None

    def add_left(self) -> None:
        """Lists what nobody took, so that it is told."""
        for name, tree in self._trees.items():
            for path in _left(tree, self._taken[name], self._trees):
                if path[0] == "model" and is_optimizer(tree.arrays):
                    self.manifest.hint = _HELD_ITS_MODEL
                number = self._number("array", [Leaf("", _spec(tree.arrays[path]))])
                self.manifest.add(Item((name, *path), None), number)

    def _number(self, kind: str, leaves: list[Leaf]) -> int:
        self.manifest.values.append((kind, leaves))
        return len(self.manifest.values) - 1


def _left(tree: Tree, taken: set[Keys], trees: dict[str, Tree]) -> Iterator[Keys]:
    """The paths of arrays in a tree that nobody took, and that somebody would miss."""
    others = [other.arrays for other in trees.values() if other is not tree]
    for path, array in tree.arrays.items():
        if path in taken or array is None or _is_stream(path):
            continue
        is_of_model = path[0] == "model" and is_optimizer(tree.arrays)
        if not (is_of_model and any(path[1:] in arrays for arrays in others)):
            yield path


def is_optimizer(arrays: Iterable[Keys]) -> bool:
    """Whether the paths of a tree are those of one optimizer."""
    return any(path[:1] == ("opt_state",) for path in arrays)


def _is_stream(path: Iterable[Any]) -> bool:
    """Whether a path leads to the key or the count of a stream of a layer."""
    keys = _without_value(path)
    return keys[-1:] in (("key",), ("count",)) and "rngs" in keys[-3:-1]


def _shared_streams(trees: dict[str, Tree], items: list[Item]) -> set[Keys]:
    """The streams of a whole Rngs, where the objects have no such one."""
    found = {
        (name, *_without_value(path))
        for name, tree in trees.items()
        for path in tree.arrays
        if _is_stream(path) and "rngs" in _without_value(path)[-3:-2]
    }
    return found - {tuple(map(str, item.path)) for item in items}


def _without_value(path: Iterable[Any]) -> Keys:
    keys = tuple(map(str, path))
    return keys[:-1] if keys[-1:] in _BELOW else keys


def _name(tree: Tree, path: Keys) -> str:
    return "/".join((*tree.above, *path))


def _leaves(item: Item, tree: Tree) -> Iterator[tuple[Keys, Leaf]]:
    """The arrays of an item that a tree has, each with its path there."""
    path = tuple(map(str, item.path[1:]))
    for below, leaf in item.leaves():
        steps = tuple(part.strip("'\"") for part in below[1:-1].split("][") if part)
        for found in _candidates(path, steps, item):
            if found in tree.arrays:
                spec = _spec(tree.arrays[found])
                if is_key(leaf):
                    spec = _as_keys(spec, leaf)
                yield found, Leaf(below, spec, tensor=_name(tree, found))
                break


def _candidates(path: Keys, steps: Keys, item: Item) -> Iterator[Keys]:
    for value in _BELOW:
        yield (*path, *value, *steps)
        # Of a whole Rngs a layer drew from the stream of its name, or the default one.
        if path[-2:-1] == ("rngs",) and item.is_variable:
            for stream in (str(item.value.get_metadata().get("tag")), "default"):
                yield (*path[:-1], stream, path[-1], *value, *steps)


def _spec(array: Any) -> Spec:
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
    if shape is None or dtype is None:
        return Spec(f"a {type(array).__name__}", ())
    return Spec(np.dtype(dtype).name, tuple(shape))


def _as_keys(spec: Spec, leaf: Any) -> Spec:
    """Bits of random keys, as keys of the kind that they are to replace."""
    bits = jax.eval_shape(jax.random.key_data, leaf)
    if spec == Spec(np.dtype(bits.dtype).name, tuple(bits.shape)):
        return Spec.of(leaf)
    return spec
