"""Folders that orbax writes: how one step of a checkpoint is saved and loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ...errors import CheckpointError, MissingCheckpointError
from ._contents import Item, Spec, is_key, put
from ._described import describe, free_name
from ._foreign import Keys, Tree, is_optimizer, manifest_of
from ._loading import assemble, fitting, slots_of
from ._manifest import FORMAT, Leaf, Manifest
from ._orbax import arrays_in, is_tree_of_orbax, name_of, nested, read_into

STATE, MANIFEST = "state", "manifest"
_TREES = ("", "default", "state", "pytree")  # where orbax's ways of saving put a tree


def as_tree(
    objects: dict[str, Any], items: list[Item]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Objects as orbax takes them: a manifest, and a tree of arrays."""
    manifest = Manifest(objects)
    arrays = describe(manifest, items, _describe_leaf)
    return manifest.to_json(), nested(arrays)


def _describe_leaf(item: Item, below: str, leaf: Any, arrays: dict[str, Any]) -> Leaf:
    spec = Spec.of(leaf)
    if isinstance(leaf, bool | int | float | complex):
        return Leaf(below, spec, number=repr(leaf))
    if 0 in spec.shape:
        return Leaf(below, spec)
    value = ("value",) if item.is_variable else ()
    keys = (*item.path, *value, *([below] if below else []))
    name = free_name(name_of(keys), arrays)
    arrays[name] = _as_stored(leaf)
    return Leaf(below, spec, tensor=name, weak=bool(getattr(leaf, "weak_type", False)))


def _as_stored(leaf: Any) -> Any:
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    if not isinstance(leaf, jax.Array):
        return np.array(leaf)  # what is written later must not change meanwhile
    # What lies in each process by itself, orbax takes from the first as NumPy's alone.
    is_local = leaf.is_fully_addressable and jax.process_count() > 1
    return np.asarray(leaf) if is_local else leaf


def load_folder(
    folder: Path, objects: dict[str, Any], items: list[Item], strict: bool
) -> None:
    """Loads objects from a folder that orbax wrote, for us or for another program.

    Raises:
        CheckpointError: it is none, it cannot be read, or the objects do not fit.
    """
    if (folder / MANIFEST).is_dir() and is_tree_of_orbax(folder / STATE):
        manifest = Manifest.from_json(_read_manifest(folder / MANIFEST))
        places = dict.fromkeys(objects, folder / STATE)
    else:
        trees = _trees_of(folder, list(objects))
        manifest, items = manifest_of(trees, items)
        places = {name: tree.folder for name, tree in trees.items()}
    manifest.add_parts(objects)
    chosen = fitting(manifest, objects, items, strict, str(folder))
    slots = slots_of(manifest, chosen)
    for place in dict.fromkeys(places.values()):
        read_into(place, [s for s in slots if places[s.item.path[0]] == place])
    put(assemble(slots))


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "metadata").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"The manifest cannot be read: {error}",
            where=str(folder),
            remedy="load another step.",
        ) from error
    if not isinstance(content, dict) or content.get("format") not in range(
        1, 1 + FORMAT
    ):
        raise CheckpointError(
            "A later version of oakum wrote the checkpoint, or it was altered",
            where=str(folder),
            remedy="pip install --upgrade oakum",
        )
    return content


def _trees_of(folder: Path, names: list[str]) -> dict[str, Tree]:
    """Where a folder of another program keeps each object."""
    if all(is_tree_of_orbax(folder / name) for name in names):
        return {n: Tree(folder / n, (), arrays_in(folder / n)) for n in names}
    for place in [folder / tree for tree in _TREES]:
        if is_tree_of_orbax(place):
            return _parts_of(place, names)
    raise MissingCheckpointError(
        "There is no checkpoint of orbax in the folder",
        where=str(folder),
        remedy="name the folder of one step; nnx.train.Checkpoints(folder).steps lists "
        "them.",
    )


def _parts_of(place: Path, names: list[str]) -> dict[str, Tree]:
    """Where one tree keeps each object."""
    arrays = arrays_in(place)
    above = {path[0] for path in arrays if path}
    if above.issuperset(names):
        return {n: Tree(place, (n,), _below(arrays, n)) for n in names}
    others = [name for name in names if name != "model"]
    if is_optimizer(arrays) and len(others) == 1 < len(names):
        # Up to flax 0.10 an optimizer held its model.
        model, rest = _below(arrays, "model"), _without(arrays, "model")
        return {
            "model": Tree(place, ("model",), model),
            others[0]: Tree(place, (), rest),
        }
    if len(names) == 1:
        return {names[0]: Tree(place, (), arrays)}
    raise CheckpointError(
        f"The checkpoint has no objects {', '.join(names)}; it holds: "
        f"{', '.join(sorted(above))}",
        where=str(place),
        remedy="name the objects as they were saved, or give all of it as one: "
        "nnx.load(folder, state=(model, optimizer)).",
    )


def _below(arrays: dict[Keys, Any], name: str) -> dict[Keys, Any]:
    return {path[1:]: x for path, x in arrays.items() if path[:1] == (name,)}


def _without(arrays: dict[Keys, Any], name: str) -> dict[Keys, Any]:
    return {path: x for path, x in arrays.items() if path[:1] != (name,)}
