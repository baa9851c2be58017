"""From a checkpoint to objects: what fits, what is read, and where it is put."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._objects.variables._axis_names import sharding_of
from ..._state import State
from ...errors import CheckpointError
from ._contents import Item, is_key
from ._manifest import Leaf, Manifest, fits, mismatches
from ._processes import spread_keys


@dataclasses.dataclass(eq=False)
class Slot:
    """One array or number to be read.

    Args:
        item: the place of state that it belongs to.
        leaf: what the checkpoint says of it.
        old: what it replaces.
        new: what was read.
    """

    item: Item
    leaf: Leaf
    old: Any
    new: Any = None

    @property
    def sharding(self) -> Any:
        """Where the new array goes; None where JAX is free to move it."""
        if isinstance(self.old, jax.ShapeDtypeStruct) and self.old.sharding is None:
            if not self.item.is_variable:
                return None
            return sharding_of(self.item.value.get_metadata())
        # An array that JAX put on the default device must stay free to move: committed
        # to that device, it could not be used beside arrays on another one.
        if getattr(self.old, "committed", True):
            return getattr(self.old, "sharding", None)
        return None


def fitting(
    manifest: Manifest,
    objects: dict[str, Any],
    items: list[Item],
    strict: bool,
    source: str,
) -> list[Item]:
    """The items to load.

    Raises:
        CheckpointError: not all fit, or with `strict=False` none.
    """
    whole = [name for name, obj in objects.items() if not isinstance(obj, State)]
    lines = mismatches(manifest, objects, items, whole)
    if not lines:
        return items
    found = [] if strict else fits(manifest, items)
    if found:
        return found
    listing = "".join(f"\n  {line}" for line in lines)
    raise CheckpointError(
        f"The checkpoint does not fit: {len(lines)} "
        f"mismatch{'es' * (len(lines) > 1)}. Nothing was changed.{listing}",
        where=source,
        remedy=f"{manifest.hint}build the objects as they were when they were saved, "
        "and give them under the same names; or load a part: strict=False for what "
        "fits, nnx.state(model, filter), or **{'model.body': model.body}.",
    )


def slots_of(manifest: Manifest, items: list[Item]) -> list[Slot]:
    """What is to be read for some items, each value once."""
    wanted: dict[int, Item] = {}
    for item in items:
        if item.same is None:
            wanted.setdefault(manifest.find(item.path).value, item)
    return [
        Slot(item, leaf, old)
        for number, item in wanted.items()
        for leaf, (_, old) in zip(
            manifest.values[number][1], item.leaves(), strict=True
        )
    ]


def assemble(slots: list[Slot]) -> list[tuple[Item, Any]]:
    """The items with their new values, once all slots have theirs."""
    parts: dict[int, tuple[Item, list[tuple[str, Any]]]] = {}
    for slot in slots:
        _, found = parts.setdefault(id(slot.item), (slot.item, []))
        found.append((slot.leaf.path, slot.new))
    values = []
    for item, found in parts.values():
        old = item.value.get_raw_value() if item.is_variable else item.value
        new = dict(found)
        leaves = [new[below] for below, _ in item.leaves()]
        values.append((item, jax.tree.unflatten(jax.tree.structure(old), leaves)))
    return values


def number_of(slot: Slot) -> Any:
    """A number, of the kind of the one that it replaces."""
    kind, text = type(slot.old), slot.leaf.number
    return text == "True" if kind is bool else kind(text)


def value_of(slot: Slot, array: np.ndarray) -> Any:
    """What was read, as the kind of thing that it replaces, where that is to lie.

    Args:
        slot: what it is read for.
        array: the values; of random keys their bits.
    """
    old, sharding = slot.old, slot.sharding
    if is_key(old):
        impl = slot.leaf.spec.dtype[len("key<") : -1]
        if sharding is not None and not sharding.is_fully_addressable:
            return spread_keys(array, impl, sharding, old.shape)
        return place(jax.random.wrap_key_data(jnp.asarray(array), impl=impl), sharding)
    if isinstance(old, np.generic):
        return array[()]
    if isinstance(old, np.ndarray):
        return array
    return _weak(array) if slot.leaf.weak else place(array, sharding)


def place(array: Any, sharding: Any) -> jax.Array:
    """An array where it goes, each part of it alone on its device."""
    if sharding is None:
        return jnp.asarray(array) if isinstance(array, jax.Array) else jnp.array(array)
    if sharding.is_fully_addressable or isinstance(array, jax.Array):
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(array.shape, sharding, lambda i: array[i])


def _weak(array: np.ndarray) -> jax.Array:
    """An array that takes the dtype of what it meets, as Python's numbers do."""
    zero = array.dtype.type(0).item()
    return jnp.full(array.shape, zero).at[...].set(jnp.array(array))
