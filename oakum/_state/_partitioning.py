"""How the arrays of a model are spread over devices, from names in their metadata.

A Variable with `out_sharding=('data', 'model')` names the axes of its array. Where a
mesh is known, from `jax.set_mesh` or from its own `mesh`, the array is spread over it
as the Variable is made. Else the names wait: `get_partition_spec` and
`get_named_sharding` read them for `jax.jit` and `jax.device_put`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._graph._graphdef import Path
from .._modes import takes_modes
from .._objects._nodes import is_variable
from .._objects.variables._axis_names import axis_names, mesh_of, spec_of
from .._objects.variables._metadata import with_metadata
from .._objects.variables._variable import Variable
from ..errors import ArgumentValueError
from ..sharding import named_sharding
from ._maps import map as map_graph


def with_partitioning(
    initializer: Callable[..., Any],
    sharding: Any,
    mesh: Any = None,
    **metadata: Any,
) -> Callable[..., Any]:
    """An initializer whose Variables name the axes of their arrays.

    Args:
        initializer: a function of key, shape and dtype.
        sharding: for each axis a name, a tuple of names, or None.
        mesh: the mesh to spread the arrays over; that of `jax.set_mesh` by default.
        **metadata: further metadata, such as `sharding_rules`.

    Example:
        >>> import oakum as nnx
        >>> init = nnx.with_partitioning(nnx.initializers.normal(), (None, 'model'))
        >>> nnx.Linear(2, 3, kernel_init=init, rngs=nnx.Rngs(0)).kernel.out_sharding
        (None, 'model')
    """
    return with_metadata(initializer, out_sharding=sharding, mesh=mesh, **metadata)


def get_partition_spec(tree: Any) -> Any:
    """The PartitionSpec of each Variable and array.

    Args:
        tree: a State, a node, a Variable, or a pytree of such.

    Returns:
        The same structure: a Variable holds its PartitionSpec, a PartitionSpec of no
        names stands for another array, None for what has no shape.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> v = nnx.Param(jnp.ones((2, 3)), out_sharding=('data', None))
        >>> tuple(nnx.get_partition_spec(v).value)
        ('data', None)
    """

    def spec(x: Any) -> Any:
        if isinstance(x, Variable):
            meta = x.get_metadata()
            known = axis_names(meta) or hasattr(x.get_raw_value(), "shape")
            return x.replace(spec_of(meta) if known else None)
        return PartitionSpec() if hasattr(x, "shape") else None

    return jax.tree.map(spec, tree, is_leaf=is_variable)


def get_var_pspec(variable: Variable) -> PartitionSpec | None:
    """The PartitionSpec of a Variable; None for a value that has no shape."""
    return get_partition_spec(variable).get_raw_value()


def get_named_sharding(tree: Any, mesh: Mesh) -> Any:
    """The NamedSharding of each Variable and array on a mesh.

    Args:
        tree: a State, a node, a Variable, or a pytree of such.
        mesh: the mesh.

    Returns:
        As `get_partition_spec`, with a NamedSharding for each PartitionSpec.

    Raises:
        ArgumentValueError: the mesh lacks an axis that is named.

    Example:
        >>> import oakum as nnx, jax
        >>> mesh = jax.make_mesh((1,), ('data',))
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> shardings = nnx.get_named_sharding(nnx.state(layer), mesh)
        >>> tuple(shardings.kernel.value.spec)
        ()
    """
    specs = get_partition_spec(tree)
    return jax.tree.map(lambda spec: named_sharding(mesh, spec), specs)


@takes_modes
def as_abstract(tree: Any) -> Any:
    """A copy in which abstract arrays know their sharding.

    `jax.eval_shape` gives shapes and dtypes alone; what a checkpoint is to be read into
    needs the sharding too.

    Args:
        tree: a node or State whose Variables hold `jax.ShapeDtypeStruct`s.

    Returns:
        A copy. A Variable that names its axes holds a `jax.ShapeDtypeStruct` with a
        NamedSharding; what has a sharding, or no names, stays as it is.

    Raises:
        ArgumentValueError: no mesh is known, or it lacks an axis that is named.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> kernel = nnx.Param(
        ...     jax.ShapeDtypeStruct((2, 3), jnp.float32), out_sharding=('data', None)
        ... )
        >>> with jax.set_mesh(jax.make_mesh((1,), ('data',))):
        ...     state = nnx.as_abstract(nnx.State({'kernel': kernel}))
        >>> tuple(state.kernel.value.sharding.spec)
        ('data', None)
    """

    def with_sharding(path: Path, x: Any) -> Any:
        if not isinstance(x, Variable) or not axis_names(x.get_metadata()):
            return x
        value, meta = x.get_value(), x.get_metadata()
        lacks = hasattr(value, "dtype") and getattr(value, "sharding", None) is None
        if not lacks:
            return x
        mesh = mesh_of(meta)
        if mesh is None:
            raise ArgumentValueError(
                f"No mesh is known for {'.'.join(map(str, path)) or 'the Variable'}, "
                f"whose axes are named {axis_names(meta)}",
                remedy="call it in `with jax.set_mesh(mesh):`.",
            )
        sharding: NamedSharding = named_sharding(mesh, spec_of(meta))
        return x.replace(
            jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)
        )

    return map_graph(with_sharding, tree)


abstract_with_sharding = as_abstract  # the same by an older name
