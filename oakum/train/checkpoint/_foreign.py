"""Trees that flax.nnx users keep with orbax: states of objects, by path.

They are what `nnx.state`, `nnx.split` or `nnx.to_pure_dict` gave, saved by any of
orbax's ways. An array stands at its path, or below it under `value`; items of lists
are under the text of their index; random keys may be their bits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._contents import Item, Spec, is_key
from ._manifest import Leaf, Manifest

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
    above: tuple[str, ...]
    arrays: dict[tuple[str, ...], Any]


def manifest_of(trees: dict[str, Tree], items: list[Item]) -> Manifest:
    """What trees say of objects, as a checkpoint of ours would say it.

    Args:
        trees: one for each object.
        items: the places of state in the objects.
    """
    manifest = Manifest(trees)
    numbers: dict[int, int] = {}
    taken: set[str] = set()
    for item in items:
        if item.same is not None:
            manifest.add(item)
            continue
        number = numbers.get(id(item.value)) if item.is_variable else None
        leaves = list(_leaves(item, trees[item.path[0]]))
        taken.update(f"{item.path[0]}:{leaf.tensor}" for leaf in leaves)
        if number is None and leaves:
            number = len(manifest.values)
            manifest.values.append((item.kind, leaves))
            if item.is_variable:
                numbers[id(item.value)] = number
        if number is not None:
            manifest.add(item, number)
    for name, tree in trees.items():
        for path, array in tree.arrays.items():
            if f"{name}:{_name(tree, path)}" not in taken:
                manifest.values.append(("array", [Leaf("", _spec(array))]))
                manifest.add(Item((name, *path), None), len(manifest.values) - 1)
    return manifest


def _name(tree: Tree, path: tuple[str, ...]) -> str:
    return "/".join((*tree.above, *path))


def _leaves(item: Item, tree: Tree) -> Iterator[Leaf]:
    """The arrays of an item that a tree has."""
    path = tuple(map(str, item.path[1:]))
    for below, leaf in item.leaves():
        steps = tuple(part.strip("'\"") for part in below[1:-1].split("][") if part)
        for found in _candidates(path, steps):
            if found in tree.arrays:
                spec = _spec(tree.arrays[found])
                if is_key(leaf):
                    spec = _as_keys(spec, leaf)
                yield Leaf(below, spec, tensor=_name(tree, found))
                break


def _candidates(path: tuple[str, ...], steps: tuple[str, ...]) -> Iterator[tuple]:
    for value in _BELOW:
        yield (*path, *value, *steps)
        # Dropout kept a whole Rngs where it keeps one stream now.
        if len(path) > 1 and path[-2] == "rngs":
            yield (*path[:-1], "default", path[-1], *value, *steps)


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
