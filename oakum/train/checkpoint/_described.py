"""What is saved, taken apart: a manifest, and arrays by the names it gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._contents import Item
from ._manifest import Leaf, Manifest


def describe(
    manifest: Manifest,
    items: list[Item],
    describe_leaf: Callable[[Item, str, Any, dict[str, Any]], Leaf],
) -> dict[str, Any]:
    """Fills a manifest; returns the arrays as they are stored, by its names for them.

    Args:
        manifest: an empty one.
        items: the places of state.
        describe_leaf: adds an array, with its path within an item, to what is stored.
    """
    tensors: dict[str, Any] = {}
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
            leaves = [describe_leaf(item, p, x, tensors) for p, x in item.leaves()]
            manifest.values.append((item.kind, leaves))
        manifest.add(item, number)
    return tensors


def free_name(name: str, taken: dict[str, Any]) -> str:
    """The name, or with a number where it is taken."""
    # Rust takes no lone surrogates, and the format has a use for one name itself.
    name = name.encode("utf-8", "backslashreplace").decode()
    free, count = name, 1
    while free in taken or free == "__metadata__":
        count += 1
        free = f"{name}#{count}"
    return free
