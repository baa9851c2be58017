"""save and load: the state of objects in one file, by name and path.

The file is a safetensors file, which other programs can read, with a manifest among its
metadata: for each object the paths, Variable types, shapes and dtypes, and which paths
share a Variable. Nothing in it is ever executed. `load` puts the values into objects
that the program has built, and checks all of them before it changes the first one.
"""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any, Never

import jax
import numpy as np

from ...errors import CheckpointError
from ...sharding._meeting import wait_for
from ._checks import check_named, check_no_trace, check_savable, collect_all
from ._contents import Item, Spec, check_alike, hold_values, is_key, put
from ._described import describe, free_name
from ._folder import load_folder
from ._loading import Slot, assemble, fitting, number_of, slots_of, value_of
from ._manifest import Leaf, Manifest
from ._processes import (
    gathered,
    is_first_process,
    is_readable,
    loading,
    read,
    together,
)
from ._tensors import ZEROS, Stored, TensorFile, from_stored, in_file_order, write


def save(path: str | os.PathLike[str], /, *unnamed: Never, **objects: Any) -> None:
    """Saves the state of objects in a file.

    The file appears whole or not at all: it is written under another name, brought to
    the disk and renamed, so that a crash leaves the one that was there before. What is
    saved is the state: Variables, arrays, and numbers marked as data. Static attributes
    and metadata belong to the program that builds the objects; so what is frozen in an
    object stays so whatever is loaded into it.

    In a program of several processes (`jax.distributed`) all of them call it, with the
    same objects. Process 0 writes the file; of an array that is split over processes it
    gets one at a time. The others return when the file is there.

    Args:
        path: the file; its folder must exist.
        *unnamed: none; an object without a name is refused.
        **objects: what to save, by the names by which it is loaded: modules,
            optimizers, metrics, Rngs, Variables, States, or lists, dicts and tuples of
            these and of arrays. A Variable that several of them hold is stored once.

    Raises:
        TraceContextError: a transform is tracing, so there are no values to save.
        ArgumentError: an object has no name, or holds, as data, what is no array or
            number.
        ArgumentValueError: processes hold different values of one array.
        CheckpointError: the file cannot be written, or another process failed.
        ProcessesError: not all processes have called it.

    Example:
        >>> import oakum as nnx, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), 'model.safetensors')
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.save(path, model=model)
        >>> other = nnx.Linear(2, 3, rngs=nnx.Rngs(1))
        >>> nnx.load(path, model=other)
        >>> bool((other.kernel == model.kernel).all())
        True

        A part of the state by itself, such as the adapters of a large model:

        >>> nnx.save(path, trained=nnx.state(model, nnx.trainable))
        >>> nnx.load(path, trained=nnx.state(other, nnx.trainable))
    """
    check_named("save", unnamed)
    check_no_trace("save")
    target = os.path.realpath(os.fsdecode(path))
    with together("nnx.save"):
        items = _savable_items(target, objects)
    check_alike("nnx.save", items)
    with together("nnx.save") as group:
        manifest = Manifest(objects)
        tensors = describe(manifest, items, partial(_describe_leaf, group))
        if is_first_process():
            write(target, tensors, manifest.to_json)
        else:
            for _, tensor in in_file_order(tensors):
                if tensor.is_split:
                    tensor.read()


def _savable_items(target: str, objects: dict[str, Any]) -> list[Item]:
    """What is to be saved in a file, once nothing stands against it."""
    if os.path.isdir(target):
        raise CheckpointError(
            "A checkpoint is a file, and there is a folder of this name",
            where=target,
            remedy="nnx.save(folder / 'model.safetensors', model=model).",
        )
    items = collect_all("save", objects)
    hold_values(items)
    for item in items:
        check_savable(item)
    return items


def load(
    path: str | os.PathLike[str],
    /,
    *unnamed: Never,
    strict: bool = True,
    **objects: Any,
) -> None:
    """Loads the state of objects from a file, in place.

    Either everything fits and is loaded, or an error lists every mismatch and nothing
    is changed. Arrays go to the devices where the objects' arrays are.

    Args:
        path: a file that `save` wrote; or a folder of one step, of `Checkpoints` or
            of another program that kept the state of flax.nnx objects with orbax.
        *unnamed: none; an object without a name is refused.
        strict: False loads what fits, by path, type, shape and dtype, and leaves the
            rest of the objects as it is.
        **objects: objects of the structure that was saved, by the same names. Names
            that the file has besides these are left alone. A part of an object goes by
            its path, `**{'model.body': new.body}`; a State is loaded with what it
            holds, though the file may have more.

    Raises:
        ArgumentError: an object has no name.
        CheckpointError: the file is missing (`MissingCheckpointError`, which is a
            FileNotFoundError too), truncated, altered or another program's, or the
            objects differ from what was saved in paths, Variable types, shapes, dtypes
            or in what they share; or nothing fits, with `strict=False`.
        TraceContextError: a transform is tracing.

    In a program of several processes each reads the file; where all load it together
    and one of them cannot, none does.
    """
    check_named("load", unnamed)
    check_no_trace("load")
    source = os.path.realpath(os.fsdecode(path))
    items = collect_all("load", objects)
    if os.path.isdir(source):
        load_folder(Path(source), objects, items, strict)
        return
    with loading(objects):
        values = _values_of(source, objects, items, strict)
    put(values)


def _values_of(
    source: str, objects: dict[str, Any], items: list[Item], strict: bool
) -> list[tuple[Item, Any]]:
    with TensorFile(source) as file:
        manifest = Manifest.of_file(file)
        manifest.add_parts(objects)
        chosen = fitting(manifest, objects, items, strict, source)
        return _read_all(file, manifest, chosen)


def _read_all(
    file: TensorFile, manifest: Manifest, items: list[Item]
) -> list[tuple[Item, Any]]:
    """New values for the items: every byte that they need is read once, and checked."""
    slots = slots_of(manifest, items)
    slots.sort(
        key=lambda slot: file.offset(slot.leaf.tensor) if slot.leaf.tensor else -1
    )
    for slot in slots:
        slot.new = _restore(file, slot)
    return assemble(slots)


def _restore(file: TensorFile, slot: Slot) -> Any:
    """A leaf's value, of the kind and on the devices of the one that it replaces."""
    leaf = slot.leaf
    if leaf.number is not None:
        return number_of(slot)
    data = file.read(leaf.tensor, leaf.digest)
    if not is_key(slot.old):
        return value_of(slot, from_stored(data, leaf.spec.dtype, leaf.spec.shape))
    shape = jax.eval_shape(jax.random.key_data, slot.old).shape
    if data.size != 4 * math.prod(shape):
        raise file.altered(f"{leaf.tensor!r} has {data.size} bytes of random keys")
    return value_of(slot, from_stored(data, "uint32", shape))


def _describe_leaf(
    group: together, item: Item, below: str, leaf: Any, tensors: dict[str, Stored]
) -> Leaf:
    spec = Spec.of(leaf)
    if isinstance(leaf, bool | int | float | complex):
        return Leaf(below, spec, number=repr(leaf))
    weak = bool(getattr(leaf, "weak_type", False))
    name = free_name(".".join(map(str, item.path)) + below, tensors)
    described = Leaf(below, spec, tensor=name, digest=ZEROS, weak=weak)
    bits = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf

    split = isinstance(leaf, jax.Array) and not is_readable(leaf)

    def values() -> np.ndarray:
        if not split:
            return read(leaf)
        # One that failed does not come to the devices, where the others would wait;
        # nor does it where it cannot begin.
        group.check()
        whole = gathered(leaf)
        group.check()
        wait_for("nnx.save", whole)
        return read(whole)

    def done(digest: str) -> None:
        described.digest = digest

    shape = tuple(bits.shape)
    tensors[name] = Stored(np.dtype(bits.dtype), shape, values, done, split)
    return described
