"""What keeps a spec from spreading an array of some shape over a mesh."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from jax.sharding import PartitionSpec


def axes_of(entry: Any) -> tuple[str, ...]:
    """The axes of the mesh that one entry of a PartitionSpec names."""
    entries = entry if isinstance(entry, tuple) else (entry,)
    return tuple([axis for axis in entries if isinstance(axis, str)])


def misfits(shape: tuple[int, ...], spec: PartitionSpec, mesh: Any) -> list[str]:
    """What is wrong with a spec, in words; nothing where the array can be spread.

    Args:
        shape: of the array.
        spec: the axes of the mesh for each of its axes.
        mesh: a mesh, concrete or abstract.
    """
    named = [axis for entry in spec for axis in axes_of(entry)]
    if unknown := [axis for axis in named if axis not in mesh.axis_names]:
        return [f"{spec} names {unknown[0]!r}, and the mesh has {mesh.axis_names}"]
    lines = [
        f"{spec} names {axis!r} twice" for axis, n in Counter(named).items() if n > 1
    ]
    if len(spec) > len(shape):
        return [*lines, f"{spec} has {len(spec)} entries for shape {shape}"]
    for i, entry in enumerate(spec):
        parts = math.prod(mesh.shape[axis] for axis in axes_of(entry))
        if shape[i] % parts:
            names = " × ".join(map(repr, axes_of(entry)))
            lines.append(
                f"axis {i} of shape {shape} does not divide by {parts}, the size of "
                f"{names}"
            )
    return lines
