"""Structure and state that travel together: `unpack`, `to_tree` and their undoing."""

from __future__ import annotations

from typing import Any

import jax

from .._graph._flatten import Encoder
from .._graph._graphdef import GraphDef
from .._modes import takes_modes
from .._objects._nodes import is_object
from ._graph_state import GraphState, register
from ._merge import Merging, gathered
from ._state import from_flat_state
from ._verbs import split


@takes_modes
def unpack(node: Any, *filters: Any) -> Any:
    """The state of an object graph, together with its structure.

    Args:
        node: a node, a Variable, or a pytree of these.
        *filters: as for `split`: one GraphState for each; together they select every
            leaf.

    Returns:
        One GraphState, or one for each of several filters.

    Raises:
        FilterError: leaves remain that no filter selects.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        >>> params, stats = nnx.unpack(model, nnx.Param, nnx.BatchStat)
        >>> same = nnx.merge(params, stats)
    """
    graphdef, *states = split(node, *filters)
    made = [GraphState(graphdef, state) for state in states]
    return tuple(made) if len(made) > 1 else made[0]


class NodeStates:
    """A node or Variable that `to_tree` took apart.

    Args:
        graphdef: its structure; it may refer to objects of an earlier NodeStates.
        states: its Variables and arrays.
    """

    __slots__ = ("graphdef", "states")

    def __init__(self, graphdef: GraphDef, states: tuple[Any, ...]):
        self.graphdef, self.states = graphdef, states

    @property
    def state(self) -> Any:
        """The one State."""
        (state,) = self.states
        return state

    def __repr__(self) -> str:
        return f"NodeStates({self.graphdef!r}, {self.states!r})"


register(NodeStates, "states", "graphdef")


def to_tree(tree: Any, /, *, prefix: Any = None, ctxtag: Any = None) -> Any:
    """A pytree in which each object is taken apart, and shared ones stand once.

    Args:
        tree: a pytree of nodes, Variables and arrays.
        prefix, ctxtag: accepted for flax.nnx programs, without effect.

    Returns:
        The same pytree with a `NodeStates` for each node and Variable.

    Example:
        >>> import oakum as nnx, jax
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> a, b = nnx.from_tree(nnx.to_tree((layer, layer)))
        >>> a is b
        True
    """
    del prefix, ctxtag
    encoder = Encoder()
    return jax.tree.map(
        lambda x: _take_apart(x, encoder) if is_object(x) else x,
        tree,
        is_leaf=is_object,
    )


def _take_apart(obj: Any, encoder: Encoder) -> NodeStates:
    encoder.variables, encoder.leaves = [], []
    graphdef = GraphDef(encoder.visit(obj))
    boxes, bare = iter(encoder.variables), iter(encoder.leaves)
    flat = []
    for path, is_variable in graphdef.paths:
        slot, key = ((next(boxes),), 0) if is_variable else next(bare)
        flat.append((path, slot[key]))
    alone = len(flat) == 1 and flat[0][0] == ()
    return NodeStates(graphdef, (flat[0][1] if alone else from_flat_state(flat),))


def from_tree(tree: Any, /, *, prefix: Any = None, ctxtag: Any = None) -> Any:
    """Builds the objects of a pytree again: `to_tree` undone.

    Args:
        tree: what `to_tree` returned, or one of the same structure.
        prefix, ctxtag: accepted for flax.nnx programs, without effect.

    Returns:
        The pytree with new objects, shared as they were.

    Raises:
        StructureError: a State lacks leaves, or has too many.
    """
    del prefix, ctxtag
    objects: dict[int, Any] = {}

    def build(x: Any) -> Any:
        if not isinstance(x, NodeStates):
            return x
        merging = Merging(*gathered(x.graphdef, x.states))
        merging.objects = objects
        return merging.build(x.graphdef.token)

    return jax.tree.map(build, tree, is_leaf=lambda x: isinstance(x, NodeStates))
