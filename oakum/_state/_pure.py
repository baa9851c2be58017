"""flatten, unflatten, call: object graphs in functional programs.

`flatten` and `unflatten` are `split` and `merge` with the leaves in a row; `call` runs
a method on a graph that is apart, as a pure function.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal, overload

import jax

from .. import _guard as guard
from .._graph._graphdef import GraphDef
from .._graph._walk import leaves
from .._modes import takes_modes
from .._objects._nodes import is_variable
from .._objects.variables._variable import Variable
from .._typing import M
from ._merge import Merging, apart, gathered, merge
from ._state import FlatState
from ._update import raw
from ._verbs import split

if TYPE_CHECKING:
    from .._graph._graphdef import Applied


@overload
def flatten(
    node: M, *, with_paths: Literal[True] = True
) -> tuple[GraphDef[M], FlatState]: ...
@overload
def flatten(
    node: M, *, with_paths: Literal[False]
) -> tuple[GraphDef[M], list[Any]]: ...
@takes_modes
def flatten(node: Any, *, with_paths: bool = True) -> tuple[GraphDef[Any], Any]:
    """Takes an object graph apart into its structure and its leaves, in a row.

    Args:
        node: a node, a Variable, or a pytree of these.
        with_paths: False gives values alone.

    Returns:
        The GraphDef, and the leaves in canonical order, each shared one once: a
        FlatState of paths and Variables, or the list of their values.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graphdef, values = nnx.flatten(model, with_paths=False)
        >>> [value.shape for value in values]
        [(3,), (2, 3)]
        >>> same = nnx.unflatten(graphdef, values)
    """
    graphdef, state = split(node)
    flat = leaves(state)
    if with_paths:
        return graphdef, FlatState(flat)
    with guard.handing_out():
        return graphdef, [raw(leaf) for _, leaf in flat]


def unflatten(
    graphdef: GraphDef[M],
    state: Any,
    *,
    copy_variables: bool = False,
    recreate_variables: bool = True,
) -> M:
    """Builds an object graph from its structure and its leaves: `flatten` undone.

    Args:
        graphdef: the GraphDef.
        state: the leaves as a FlatState, a State, or a list in canonical order.
        copy_variables: whether to make new Variables, of copied arrays.
        recreate_variables: as for `merge`.

    Raises:
        StructureError: leaves are missing or surplus.
    """
    return merge(
        graphdef, state, copy=copy_variables, recreate_variables=recreate_variables
    )


def call(graphdef_state: tuple[GraphDef[M], *tuple[Any, ...]]) -> Applied[M]:
    """Runs a method of an object graph that is apart, as a pure function.

    Args:
        graphdef_state: the GraphDef and the States, as `nnx.split` returns them.

    Returns:
        What stands for the object: its attributes and items are got by name, and a call
        returns the result and the GraphDef and State after it. The State given stays
        as it is.

    Example:
        >>> import oakum as nnx
        >>> pair = nnx.split(nnx.Rngs(0))
        >>> _, pair = nnx.call(pair).params()
        >>> int(nnx.merge(*pair).params.count.value)
        1
    """
    return _Method(graphdef_state, ())


def as_pure(tree: Any) -> Any:
    """A pytree with its Variables replaced by their values.

    Args:
        tree: a State, an object or a pytree of these.

    Returns:
        A new tree of the same kind, without metadata.

    Example:
        >>> import oakum as nnx
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.as_pure(state)['bias'].shape
        (3,)
    """
    with guard.handing_out():
        return jax.tree.map(raw, tree, is_leaf=is_variable)


class _Method:
    """A callable inside of an object graph that is apart, and the way to it."""

    def __init__(self, apart: tuple, steps: tuple[Callable[[Any], Any], ...]):
        self._apart, self._steps = apart, steps

    def __getattr__(self, name: str) -> _Method:
        if name.startswith("__"):  # Python and JAX ask for protocols
            raise AttributeError(name)
        return _Method(self._apart, (*self._steps, attrgetter(name)))

    def __getitem__(self, key: Any) -> _Method:
        return _Method(self._apart, (*self._steps, itemgetter(key)))

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, tuple]:
        graphdef, states = apart(self._apart[0], self._apart[1:])
        boxes, bare = gathered(graphdef, states)
        # The Variables of the States given stay as they are.
        boxes = [x.replace() if isinstance(x, Variable) else x for x in boxes]
        node = Merging(boxes, bare).build(graphdef.token)
        method = node
        for step in self._steps:
            method = step(method)
        return method(*args, **kwargs), split(node)


@takes_modes
def _apply(self: GraphDef, state: Any, *states: Any) -> _Method:
    """What stands for the object of this structure and these States, as in `nnx.call`.

    Args:
        state, *states: States that hold every leaf together.

    Returns:
        Its attributes and items are got by name; a call returns the result, and the
        GraphDef and the State after it.
    """
    return _Method((self, state, *states), ())


GraphDef.apply = _apply  # type: ignore[attr-defined]
