"""Variables and Linen's variables: collections by name, boxes by metadata.

A Linen variable is a value under a collection, perhaps in a box that holds names of
axes (`nn.Partitioned`). The box's class goes along in the metadata, so that the way
back gives the same box; metadata of oakum's own goes into an `NNXMeta`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import jax

from .._objects import Variable, variable_name_from_type, variable_type_from_name
from .._objects.variables._variable import place
from .._state._partitioning import get_partition_spec
from .._state._partitioning import with_partitioning as _with_partitioning
from .._state.traversals import flatten_mapping, unflatten_mapping
from ..errors import ArgumentValueError
from ._flax import meta, struct

BOX = "linen_meta_type"
"""The metadata that names the class of the box that a value came in."""


class NNXMeta(struct.PyTreeNode, meta.AxisMetadata):
    """A box in which Linen keeps the metadata of a Variable.

    Args:
        var_type: the type of the Variable.
        value: its value.
        metadata: its metadata.
    """

    var_type: Any = struct.field(pytree_node=False)
    value: Any = struct.field(pytree_node=True)
    metadata: dict[str, Any] = struct.field(pytree_node=False)

    def unbox(self) -> Any:
        """The value."""
        return self.value

    def replace_boxed(self, val: Any) -> NNXMeta:
        """The same box around another value."""
        return self.replace(value=val)

    def add_axis(self, index: int, params: dict[Any, Any]) -> NNXMeta:
        """The box in a loop of Linen: the names of axes stay."""
        return self

    def remove_axis(self, index: int, params: dict[Any, Any]) -> NNXMeta:
        """The box in the body of a loop of Linen: the names of axes stay."""
        return self

    def get_partition_spec(self) -> jax.sharding.PartitionSpec:
        """How the value is split over a mesh."""
        return get_partition_spec(self.to_nnx_variable()).get_raw_value()

    def to_nnx_variable(self) -> Variable:
        """A Variable of the value and metadata."""
        return place(object.__new__(self.var_type), self.value, dict(self.metadata))


def to_box(variable: Variable) -> Any:
    """What Linen holds of a Variable: its value, in a box where it has metadata."""
    known = variable.get_metadata()
    value = variable.get_raw_value()
    kind = known.get(BOX)
    if kind is not None:
        if hasattr(kind, "from_nnx_metadata"):
            return kind.from_nnx_metadata({"value": value, **known})
        return kind(value, **{k: v for k, v in known.items() if k != BOX})
    return NNXMeta(type(variable), value, known) if known else value


def to_variable(collection: str, value: Any) -> Variable:
    """A Variable of what Linen holds in a collection.

    Raises:
        ArgumentValueError: the box is of a Variable type that belongs elsewhere.
    """
    kind = variable_type_from_name(collection, allow_register=True)
    if isinstance(value, NNXMeta):
        if value.var_type is not kind:
            raise ArgumentValueError(
                f"Collection {collection!r} holds a {value.var_type.__name__}, "
                f"expected a {kind.__name__}",
                remedy=f"nnx.register_variable_name({collection!r}, "
                f"{value.var_type.__name__}, overwrite=True)",
            )
        return value.to_nnx_variable()
    if isinstance(value, meta.AxisMetadata):
        known = dict(vars(value))
        if hasattr(value, "to_nnx_metadata"):
            # A copy: that of LogicallyPartitioned empties the box it is asked of.
            box: Any = copy.copy(value)
            known = dict(box.to_nnx_metadata())
        return kind(known.pop("value"), **known, **{BOX: type(value)})
    return place(object.__new__(kind), value, {})


def unboxed(value: Any) -> Any:
    """A value without the box that Linen may keep it in."""
    return value.unbox() if isinstance(value, meta.AxisMetadata) else value


def to_attributes(variables: Mapping[str, Any]) -> dict[tuple, Variable]:
    """Variables by path, of Linen's collections.

    Raises:
        ArgumentValueError: two collections have a variable at one path.
    """
    flat: dict[tuple, Variable] = {}
    for collection, tree in variables.items():
        for path, value in flatten_mapping(tree).items():
            variable = to_variable(collection, value)
            if path in flat:
                raise ArgumentValueError(
                    f"Found duplicate variable path {'/'.join(map(str, path))}: a "
                    f"{type(flat[path]).__name__} and a {type(variable).__name__}",
                    remedy="give the variables of the two collections other names: "
                    "a module has one attribute of a name.",
                )
            flat[path] = variable
    return flat


def linen_vars_to_nnx_attrs(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts of Variables, of Linen's collections."""
    return unflatten_mapping(to_attributes(variables))


def to_collections(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Linen's collections, of nested dicts of Variables.

    Raises:
        ArgumentValueError: there is something else than a Variable.
    """
    flat = {}
    for path, variable in flatten_mapping(attributes).items():
        if not isinstance(variable, Variable):
            raise ArgumentValueError(
                f"Cannot infer the collection of {'.'.join(map(str, path))}: it is a "
                f"{type(variable).__name__}",
                remedy="put it in a Variable, whose type names the collection.",
            )
        name = variable_name_from_type(type(variable), allow_register=True)
        flat[name, *path] = to_box(variable)
    return unflatten_mapping(flat)


def with_partitioning(
    fn: Callable[..., Any], names: Any, mesh: jax.sharding.Mesh | None = None
) -> Callable[..., Any]:
    """An initializer whose Variable Linen holds as an `nn.Partitioned`.

    Args:
        fn: the initializer.
        names: the name of each axis of what it makes, None for no name.
        mesh: where it lies; the mesh in use where left out.

    Returns:
        An initializer for `nnx.Param` and layers.
    """
    return _with_partitioning(fn, names, mesh, **{BOX: meta.Partitioned})
