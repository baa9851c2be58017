"""save and load: the state of objects in one file, by name and path.

The file is a safetensors file, which other programs can read, with a manifest among its
metadata: for each object the paths, Variable types, shapes and dtypes, and which paths
share a Variable. Nothing in it is ever executed. `load` puts the values into objects
that the program has built, and checks all of them before it changes the first one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ... import _guard as guard
from ..._graph import Path
from ..._state import State
from ...errors import (
    ArgumentError,
    ArgumentValueError,
    CheckpointError,
    DeletedArrayError,
    TraceContextError,
)
from ._contents import (
    Item,
    Spec,
    check_alike,
    collect,
    hold_values,
    is_key,
    path_text,
    put,
)
from ._manifest import Leaf, Manifest, fits, mismatches
from ._processes import (
    is_first_process,
    is_readable,
    read,
    spread_keys,
    together,
)
from ._tensors import TensorFile, digest, from_stored, to_stored, write


def save(path: str | os.PathLike[str], /, **objects: Any) -> None:
    """Saves the state of objects in a file.

    The file appears whole or not at all: it is written under another name, brought to
    the disk and renamed, so that a crash leaves the one that was there before. What is
    saved is the state: Variables, arrays, and numbers marked as data. Static attributes
    and metadata belong to the program that builds the objects; so what is frozen in an
    object stays so whatever is loaded into it.

    In a program of several processes (`jax.distributed`) all of them call it, with the
    same objects. Process 0 writes the file, from the arrays of which it holds all
    parts; the others return when it is there.

    Args:
        path: the file; its folder must exist.
        **objects: what to save, by the names by which it is loaded: modules,
            optimizers, metrics, Rngs, Variables, States, or lists, dicts and tuples of
            these and of arrays. A Variable that several of them hold is stored once.

    Raises:
        TraceContextError: a transform is tracing, so there are no values to save.
        ArgumentError: an object holds, as data, what is no array or number.
        ArgumentValueError: an array is split over several processes, so that none of
            them holds all of it; or processes hold different values of one.
        CheckpointError: the file cannot be written, or another process failed.

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
    _check_no_trace("save")
    target = os.path.realpath(os.fsdecode(path))
    with together("nnx.save"):
        items = _savable_items(target, objects)
    check_alike("nnx.save", items)
    with together("nnx.save"):
        if is_first_process():
            manifest, tensors = _describe(Manifest(objects), items)
            write(target, tensors, manifest.to_json())


def _savable_items(target: str, objects: dict[str, Any]) -> list[Item]:
    """What is to be saved in a file, once nothing stands against it."""
    if os.path.isdir(target):
        raise CheckpointError(
            "A checkpoint is a file, and there is a folder of this name",
            where=target,
            remedy="nnx.save(folder / 'model.safetensors', model=model).",
        )
    items = _collect_all("save", objects)
    hold_values(items)
    for item in items:
        _check_savable(item)
    return items


def load(
    path: str | os.PathLike[str], /, *, strict: bool = True, **objects: Any
) -> None:
    """Loads the state of objects from a file, in place.

    Either everything fits and is loaded, or an error lists every mismatch and nothing
    is changed. Arrays go to the devices where the objects' arrays are.

    Args:
        path: a file that `save` wrote.
        strict: False loads what fits, by path, type, shape and dtype, and leaves the
            rest of the objects as it is.
        **objects: objects of the structure that was saved, by the same names. Names
            that the file has besides these are left alone. A part of an object goes by
            its path, `**{'model.body': new.body}`; a State is loaded with what it
            holds, though the file may have more.

    Raises:
        CheckpointError: the file is missing (`MissingCheckpointError`, which is a
            FileNotFoundError too), truncated, altered or another program's, or the
            objects differ from what was saved in paths, Variable types, shapes, dtypes
            or in what they share; or nothing fits, with `strict=False`.
        TraceContextError: a transform is tracing.
    """
    _check_no_trace("load")
    source = os.path.realpath(os.fsdecode(path))
    items = _collect_all("load", objects)
    with TensorFile(source) as file:
        manifest = Manifest.of_file(file)
        manifest.add_parts(objects)
        whole = [name for name, obj in objects.items() if not isinstance(obj, State)]
        lines = mismatches(manifest, objects, items, whole)
        fitting = [] if strict else fits(manifest, items)
        if lines and not fitting:
            listing = "".join(f"\n  {line}" for line in lines)
            raise CheckpointError(
                f"The checkpoint does not fit: {len(lines)} "
                f"mismatch{'es' * (len(lines) > 1)}. Nothing was changed.{listing}",
                where=source,
                remedy="build the objects as they were when they were saved, and give "
                "them under the same names; or load a part: strict=False for what "
                "fits, nnx.state(model, filter), or **{'model.body': model.body}.",
            )
        values = _read_all(file, manifest, items if strict else fitting)
    put(values)


def _check_no_trace(verb: str) -> None:
    if guard.current_trace() == guard.ROOT:
        return
    raise TraceContextError(
        f"nnx.{verb} was called while a transform is tracing: the function runs once, "
        "with tracers in place of values. Nothing was written.",
        where=guard.describe(guard.here()),
        remedy=f"{verb} outside of the transformed function, after it returned:"
        "\n\n    train_step(model, optimizer, batch)"
        f"\n    nnx.{verb}(path, model=model, optimizer=optimizer)",
    )


def _collect_all(verb: str, objects: dict[str, Any]) -> list[Item]:
    if not objects:
        raise ArgumentError(
            f"nnx.{verb} was given no objects",
            remedy=f"name each: nnx.{verb}(path, model=model, optimizer=optimizer).",
        )
    return [item for name, obj in objects.items() for item in collect(name, obj)]


def _check_savable(item: Item) -> None:
    """Raises where a value cannot be written, before anything is."""
    text = path_text(item.path)
    for _, leaf in item.leaves():
        if isinstance(leaf, Tracer):
            raise TraceContextError(
                f"{item.kind} `{text}` holds a tracer of a trace that is over",
                remedy="pass the object to the transform as an argument, so that its "
                "value comes out: nnx.jit(step)(model).",
            )
        if isinstance(leaf, jax.Array) and leaf.is_deleted():
            raise DeletedArrayError(
                f"{item.kind} `{text}` holds an array that was donated elsewhere",
                remedy="save before the array is donated, or donate a copy.",
            )
        if isinstance(leaf, jax.Array) and not is_readable(leaf):
            raise ArgumentValueError(
                f"{item.kind} `{text}` is split over several processes, by "
                f"{leaf.sharding}, so that no process holds all of it",
                remedy="save such objects with orbax, in all processes:"
                "\n\n    import orbax.checkpoint as ocp"
                f"\n    ocp.v1.save(folder, nnx.state({item.path[0]}))",
            )
        if not _is_storable(leaf):
            raise ArgumentError(
                f"{item.kind} `{text}` holds a {type(leaf).__name__} that a checkpoint "
                f"cannot hold: {leaf!r:.60}",
                remedy="give it an array of numbers or truth values.",
            )


def _is_storable(leaf: Any) -> bool:
    if isinstance(leaf, bool | int | float | complex) or is_key(leaf):
        return True
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, jax.ShapeDtypeStruct):
        return False
    try:
        return np.dtype(np.dtype(dtype).name).kind not in "OSUMm"
    except TypeError:
        return False


def _describe(
    manifest: Manifest, items: list[Item]
) -> tuple[Manifest, dict[str, np.ndarray]]:
    """The manifest, and the arrays as they are stored by the names it gives them."""
    tensors: dict[str, np.ndarray] = {}
    boxes: dict[int, int] = {}
    for item in items:
        if item.same is not None:
            manifest.add(item)
            continue
        number = boxes.get(id(item.value)) if item.is_variable else None
        if number is None:
            number = len(manifest.values)
            if item.is_variable:
                boxes[id(item.value)] = number
            leaves = [_leaf(item.path, p, x, tensors) for p, x in item.leaves()]
            manifest.values.append((item.kind, leaves))
        manifest.add(item, number)
    return manifest, tensors


def _leaf(path: Path, below: str, leaf: Any, tensors: dict[str, np.ndarray]) -> Leaf:
    spec = Spec.of(leaf)
    if isinstance(leaf, bool | int | float | complex):
        return Leaf(below, spec, number=repr(leaf))
    weak = bool(getattr(leaf, "weak_type", False))
    stored = to_stored(read(leaf))
    name = _free_name(".".join(map(str, path)) + below, tensors)
    tensors[name] = stored
    return Leaf(below, spec, tensor=name, digest=digest(stored), weak=weak)


def _free_name(name: str, taken: dict[str, np.ndarray]) -> str:
    # Rust takes no lone surrogates, and the format has a use for one name itself.
    name = name.encode("utf-8", "backslashreplace").decode()
    free, count = name, 1
    while free in taken or free == "__metadata__":
        count += 1
        free = f"{name}#{count}"
    return free


def _read_all(
    file: TensorFile, manifest: Manifest, items: list[Item]
) -> list[tuple[Item, Any]]:
    """New values for the items: every byte that they need is read once, and checked."""
    wanted: dict[int, Item] = {}
    for item in items:
        if item.same is None:
            wanted.setdefault(manifest.find(item.path).value, item)
    slots = [
        (leaf, old, number, i)
        for number, item in wanted.items()
        for i, (leaf, (_, old)) in enumerate(
            zip(manifest.values[number][1], item.leaves(), strict=True)
        )
    ]
    slots.sort(key=lambda slot: file.offset(slot[0].tensor) if slot[0].tensor else -1)
    new: dict[int, dict[int, Any]] = {number: {} for number in wanted}
    for leaf, old, number, i in slots:
        new[number][i] = _restore(file, leaf, old)
    return list(_assemble(wanted, new))


def _assemble(
    wanted: dict[int, Item], new: dict[int, dict[int, Any]]
) -> Iterator[tuple[Item, Any]]:
    for number, item in wanted.items():
        leaves = [new[number][i] for i in range(len(new[number]))]
        old = item.value.get_raw_value() if item.is_variable else item.value
        yield item, jax.tree.unflatten(jax.tree.structure(old), leaves)


def _restore(file: TensorFile, leaf: Leaf, old: Any) -> Any:
    """A leaf's value, of the kind and on the devices of the one that it replaces."""
    if leaf.number is not None:
        return (
            type(old)(leaf.number) if type(old) is not bool else leaf.number == "True"
        )
    data = file.read(leaf.tensor, leaf.digest)
    if is_key(old):
        impl = leaf.spec.dtype[len("key<") : -1]
        shape = jax.eval_shape(jax.random.key_data, old).shape
        if data.size != 4 * math.prod(shape):
            raise file.altered(f"{leaf.tensor!r} has {data.size} bytes of random keys")
        bits = from_stored(data, "uint32", shape)
        sharding = getattr(old, "sharding", None)
        if sharding is not None and not sharding.is_fully_addressable:
            return spread_keys(bits, impl, sharding, old.shape)
        return _place(jax.random.wrap_key_data(jnp.asarray(bits), impl=impl), old)
    array = from_stored(data, leaf.spec.dtype, leaf.spec.shape)
    if isinstance(old, np.generic):
        return array[()]
    if isinstance(old, np.ndarray):
        return array
    return _weak(array) if leaf.weak else _place(array, old)


def _place(array: Any, old: Any) -> jax.Array:
    # An array that JAX put on the default device must stay free to move: committed to
    # that device, it could not be used beside arrays on another one.
    sharding = getattr(old, "sharding", None)
    if sharding is not None and getattr(old, "committed", True):
        return jax.device_put(array, sharding)
    return jnp.asarray(array) if isinstance(array, jax.Array) else jnp.array(array)


def _weak(array: np.ndarray) -> jax.Array:
    """An array that takes the dtype of what it meets, as Python's numbers do."""
    zero = array.dtype.type(0).item()
    return jnp.full(array.shape, zero).at[...].set(jnp.array(array))
