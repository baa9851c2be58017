"""The names of a Variable's axes, and where its array goes by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ..sharding import context_mesh, named_sharding, partition_spec, place_on_mesh

PARTITION_NAME = "partition_name"
# flax.nnx has called them all three, in this order from the newest.
NAME_KEYS = ("out_sharding", "sharding_names", "sharding")


def axis_names(meta: Mapping[str, Any]) -> Any:
    """The names in a Variable's metadata, or None."""
    for key in NAME_KEYS:
        if key in meta:
            return meta[key]
    return None


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


def spread(value: Any, meta: Mapping[str, Any]) -> Any:
    """A new Variable's array where its metadata says; as it is where no mesh is known.

    Raises:
        ArgumentValueError: the mesh lacks an axis.
    """
    if not axis_names(meta) or not isinstance(value, jax.Array | np.ndarray):
        return value
    mesh = mesh_of(meta)
    if mesh is None:
        return value
    return place_on_mesh(value, named_sharding(mesh, spec_of(meta)))
