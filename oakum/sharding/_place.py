"""Puts arrays where their PartitionSpec says, on a mesh."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ..errors import ArgumentValueError
from ._fit import axes_of, misfits


def context_mesh() -> Any:
    """The mesh that `jax.set_mesh` has set, or None."""
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty else mesh


def named_sharding(mesh: Any, spec: PartitionSpec) -> NamedSharding:
    """A NamedSharding.

    Raises:
        ArgumentValueError: the mesh lacks one of the axes.
    """
    axes = {axis for entry in spec for axis in axes_of(entry)}
    if unknown := sorted(axes - set(mesh.axis_names)):
        names = ", ".join(map(repr, unknown))
        raise ArgumentValueError(
            f"{spec} names {names}, but the axes of the mesh are {mesh.axis_names}",
            remedy=f"say where they go: with nnx.logical_axis_rules([({unknown[0]!r}, "
            f"{mesh.axis_names[0]!r})]), or None in place of the axis.",
        )
    return NamedSharding(mesh, spec)


def place_on_mesh(value: Any, sharding: NamedSharding) -> Any:
    """The value with this sharding; inside a trace, a constraint.

    Args:
        value: an array, or a pytree of arrays.
        sharding: where to put it.

    Raises:
        ArgumentValueError: it does not divide; JAX leaves such an array whole under
            `jit`, without a word.
    """
    for leaf in jax.tree.leaves(value):
        if lines := misfits(leaf.shape, sharding.spec, sharding.mesh):
            raise ArgumentValueError(
                f"An array cannot be spread by {sharding.spec}: {lines[0]}",
                remedy="name only axes of the mesh that divide the array, or give "
                "None in place of the axis.",
            )
    # An explicit axis is part of the array's type, so that it takes a reshard; an axis
    # that the compiler manages takes a constraint, and knows no reshard.
    if AxisType.Explicit in sharding.mesh.axis_types:
        return jax.sharding.reshard(value, sharding)
    return jax.lax.with_sharding_constraint(value, sharding)


@contextlib.contextmanager
def mesh_of(arrays: Any) -> Iterator[None]:
    """Sets the mesh of explicit axes on which arrays lie, where none is set.

    Some of JAX's functions compute nothing of such arrays outside of it.
    """
    places = [getattr(x, "sharding", None) for x in jax.tree.leaves(arrays)]
    meshes = [x.mesh for x in places if isinstance(x, NamedSharding)]
    explicit = [m for m in meshes if AxisType.Explicit in m.axis_types]
    if explicit and isinstance(explicit[0], Mesh) and context_mesh() is None:
        with jax.set_mesh(explicit[0]):
            yield
    else:
        yield


def lying_as(value: Any, known: Any) -> Any:
    """A value with the sharding of another one's type, on a mesh of explicit axes.

    Args:
        value: an array.
        known: an array of this shape.
    """
    sharding = jax.typeof(known).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types:
        return value
    if jax.typeof(value).sharding == sharding:
        return value
    # A program that uses no array of the mesh does not know its devices.
    value, _ = jax.lax.optimization_barrier((value, known))
    return jax.sharding.reshard(value, sharding)
