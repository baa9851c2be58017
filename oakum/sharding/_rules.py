"""Logical names of axes, and the rules that map them to axes of a mesh.

A model names the axes of its parameters by what they mean, such as 'embed'; a *rule*
`('embed', 'model')` says on which axis of the mesh that is spread, or with None that it
is not. A name without a rule is an axis of the mesh itself.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from jax.sharding import NamedSharding, PartitionSpec

from .._guard import context
from ..errors import ArgumentValueError

Rules = Iterable[tuple[str, Any]]


@contextlib.contextmanager
def logical_axis_rules(rules: Rules) -> Iterator[None]:
    """Sets the rules for the `with` block, in place of those around it.

    In a program that uses Linen too, this is `flax.linen.logical_axis_rules`: either
    sets the rules of both.

    Args:
        rules: pairs of a logical name and the axis of the mesh, a tuple of such, or
            None.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> kernel = nnx.Param(jnp.ones((2, 3)), out_sharding=('embed', 'hidden'))
        >>> with nnx.logical_axis_rules([('embed', None), ('hidden', 'model')]):
        ...     tuple(nnx.get_partition_spec(kernel).value)
        (None, 'model')
    """
    # Not imported for this: where nobody has, there is nobody to agree with.
    linen = sys.modules.get("flax.linen")
    before = context.axis_rules
    context.axis_rules = () if linen else tuple(rules)
    try:
        with (
            linen.logical_axis_rules(tuple(rules))
            if linen
            else contextlib.nullcontext()
        ):
            yield
    finally:
        context.axis_rules = before


def axis_rules() -> tuple[tuple[str, Any], ...]:
    """The rules in force, whether set here or by Linen."""
    linen = sys.modules.get("flax.linen")
    return (linen and tuple(linen.get_logical_axis_rules())) or context.axis_rules


def partition_spec(names: Any, rules: Rules | None = ()) -> PartitionSpec:
    """The PartitionSpec of an array whose axes have these names.

    Args:
        names: a name or None for each axis; a PartitionSpec or NamedSharding of such.
        rules: of the array itself, besides those of the context.

    Raises:
        ArgumentValueError: the two say different things of one name.
    """
    if isinstance(names, NamedSharding):
        names = names.spec
    known = dict(axis_rules())
    for name, axis in rules or ():
        if known.setdefault(name, axis) != axis:
            raise ArgumentValueError(
                f"Two rules for the axis {name!r}: {known[name]!r} in "
                f"logical_axis_rules, and {axis!r} in the sharding_rules of a Variable",
                remedy="leave one of them out.",
            )
    return PartitionSpec(
        *[known.get(name, name) if isinstance(name, str) else name for name in names]
    )
