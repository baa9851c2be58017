"""The shapes and shardings of a model that is not made yet."""

from __future__ import annotations

from collections.abc import Callable

import jax

from .._graph import GraphDef
from .._modes import takes_modes
from .._state import State, split
from .._state._partitioning import get_named_sharding
from .._typing import M
from ._jit import jit


@takes_modes
def get_abstract_model(
    init_fn: Callable[[], M], mesh: jax.sharding.Mesh
) -> tuple[GraphDef[M], State]:
    """The structure of a model, and the shape, dtype and sharding of its arrays.

    Nothing is computed: it is what a checkpoint is read into, or a jitted constructor
    is given as `out_shardings`.

    Args:
        init_fn: makes the model.
        mesh: what its Variables are spread over, by the names of their axes.

    Returns:
        The GraphDef, and a State whose Variables hold `jax.ShapeDtypeStruct`s.

    Raises:
        ArgumentValueError: the mesh lacks an axis that is named.

    Example:
        >>> import oakum as nnx, jax
        >>> graphdef, state = nnx.get_abstract_model(
        ...     lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)),
        ...     jax.make_mesh((1,), ('data',)),
        ... )
        >>> state.kernel.value.shape, state.kernel.value.sharding.is_fully_replicated
        ((2, 3), True)
    """
    with jax.set_mesh(mesh):
        graphdef, state = split(jit(init_fn).eval_shape())
    shardings = get_named_sharding(state, mesh)
    return graphdef, jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        state,
        shardings,
    )
