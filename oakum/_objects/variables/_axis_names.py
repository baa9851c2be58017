"""The names of a Variable's axes, and where its array goes by them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ..._guard import context
from ...sharding import context_mesh, named_sharding, partition_spec, place_on_mesh

PARTITION_NAME = "partition_name"
NAME_KEYS = {
    "out_sharding": "out_sharding",
    "sharding_names": "out_sharding",
    "sharding": "out_sharding",
}
"""The names that flax.nnx has given to one entry, and the one that it has here."""

UNUSED_NAMES = frozenset(NAME_KEYS) - frozenset(NAME_KEYS.values())


def one_entry(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with the axis names under one name, whichever they were given by."""
    return {NAME_KEYS.get(name, name): value for name, value in meta.items()}


def axis_names(meta: Mapping[str, Any]) -> Any:
    """The names in a Variable's metadata, or None."""
    return meta.get("out_sharding")


def spec_of(meta: Mapping[str, Any]) -> PartitionSpec:
    """The PartitionSpec by a Variable's metadata and the rules that hold here."""
    names = axis_names(meta)
    return (
        partition_spec(names, meta.get("sharding_rules"))
        if names
        else (PartitionSpec())
    )


def mesh_of(meta: Mapping[str, Any]) -> Any:
    """The mesh that a Variable's metadata or the context gives, or None."""
    names, mesh = axis_names(meta), meta.get("mesh")
    if mesh is None and isinstance(names, NamedSharding):
        return names.mesh
    return context_mesh() if mesh is None else mesh


def sharding_of(meta: Mapping[str, Any]) -> NamedSharding | None:
    """Where a Variable's metadata says that its array goes; None where it does not."""
    mesh = mesh_of(meta) if axis_names(meta) else None
    if mesh is None:
        return None
    return named_sharding(mesh, spec_of(meta))


def spread(value: Any, meta: Mapping[str, Any]) -> Any:
    """A new Variable's array where its metadata says; as it is where no mesh is known.

    Raises:
        ArgumentValueError: the mesh lacks an axis.
    """
    if not axis_names(meta) or not isinstance(value, jax.Array | np.ndarray):
        return value
    sharding = sharding_of(meta)
    return value if sharding is None else place_on_mesh(value, sharding)


class use_eager_sharding:  # read as a function, and as flax spells it
    """Says whether a new Variable's array goes where its metadata says at once.

    The call sets it for this thread, from now on; in a `with` statement it is as
    before after the block, and as a decorator it holds during the function alone.

    Args:
        value: whether to spread arrays as their Variables are made, which is how it is
            from the start.

    Example:
        >>> import oakum as nnx
        >>> with nnx.use_eager_sharding(False):
        ...     nnx.using_eager_sharding()
        False
    """

    def __init__(self, value: bool):
        self._before, self._value = context.eager_sharding, value
        context.eager_sharding = value

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        context.eager_sharding = self._before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        context.eager_sharding = self._before

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with use_eager_sharding(self._value):
                return function(*args, **kwargs)

        return run


def using_eager_sharding() -> bool:
    """Whether a new Variable's array goes where its metadata says at once."""
    return context.eager_sharding
