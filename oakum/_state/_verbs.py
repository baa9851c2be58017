"""split, state, pop, clone and their kin: verbs on object graphs."""

from __future__ import annotations

from typing import Any, overload

import jax

from .. import _guard as guard
from .._graph._flatten import encode
from .._graph._graphdef import GraphDef, Path
from .._graph._snapshot import encode_and_keep, snapshot_of
from .._graph._unflatten import decode
from .._graph._walk import leaves, nodes_of, places_of_leaves
from .._modes import takes_modes
from .._objects._nodes import Node
from .._objects.variables._variable import Variable
from .._typing import Filter, M
from ..errors import ArgumentError, ArgumentValueError, FilterError
from ._attributes import set_attributes
from ._filters import partition, to_predicate
from ._merge import Keeping, copy_array, is_leaf
from ._state import State, from_flat_state, remainder_error


@overload
def split(node: M, /) -> tuple[GraphDef[M], State]: ...
@overload
def split(node: M, first: Filter, /) -> tuple[GraphDef[M], State]: ...
@overload
def split(
    node: M, first: Filter, second: Filter, /
) -> tuple[GraphDef[M], State, State]: ...
@overload
def split(
    node: M, first: Filter, second: Filter, third: Filter, /
) -> tuple[GraphDef[M], State, State, State]: ...
@overload
def split(
    node: M, first: Filter, second: Filter, third: Filter, fourth: Filter, /
) -> tuple[GraphDef[M], State, State, State, State]: ...
@overload
def split(
    node: M, /, *filters: Filter
) -> tuple[GraphDef[M], State, *tuple[State, ...]]: ...
@takes_modes
def split(node: Any, *filters: Any) -> Any:
    """Takes an object graph apart into its structure and its state.

    Args:
        node: a node, a Variable, or a pytree of these.
        *filters: one State is returned for each; together they select every leaf.

    Returns:
        The GraphDef, then one State (all leaves), or one for each filter. The leaves
        are the Variables of the graph themselves, no copies: `nnx.clone(model)` or
        `nnx.state(nnx.clone(model))` keeps today's values.

    Raises:
        FilterError: leaves remain that no filter selects.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graphdef, params, rest = nnx.split(model, nnx.Param, ...)
        >>> same = nnx.merge(graphdef, params, rest)
    """
    graphdef, found = _taken_apart(node)
    if is_leaf(graphdef):
        return (graphdef, *_of_one(node, filters))
    states = _select(found, filters, exhaustive=True)
    return (graphdef, *states)


def _of_one(leaf: Any, filters: tuple) -> list[Any]:
    """A Variable or array alone, for the filter that selects it; no leaf for others."""
    groups, rest = partition([((), leaf)], filters or (...,))
    if rest:
        raise remainder_error(rest)
    return [leaf if group else State() for group in groups]


def _taken_apart(node: Any) -> tuple[GraphDef, list[tuple[Path, Any]]]:
    """The structure of a graph, and its leaves, which are on their way to the user."""
    _note_taken(node)
    if (known := snapshot_of(node)) is not None:
        return known[0], _by_path(*known)
    graphdef, encoder = encode_and_keep(node)
    if encoder.leaves:
        return graphdef, leaves(node)
    return graphdef, _by_path(graphdef, encoder.variables)


def _by_path(graphdef: GraphDef, variables: list[Any]) -> list[tuple[Path, Any]]:
    return [(path, x) for (path, _), x in zip(graphdef.paths, variables, strict=True)]


def _taken_from(node: Any) -> list[tuple[Path, Any]]:
    """The leaves of a graph, which are on their way to the user."""
    _note_taken(node)
    known = snapshot_of(node)
    return leaves(node) if known is None else _by_path(*known)


def _note_taken(node: Any) -> None:
    if guard.copies:
        nodes = nodes_of(node)
        guard.note_taken([found for _, found in nodes if isinstance(found, Node)])


def _select(flat: list, filters: tuple, exhaustive: bool) -> list[State]:
    if flat and flat[0][0] == ():
        raise ArgumentError(
            f"A {type(flat[0][1]).__name__} alone has no path, and so no State",
            remedy="give the module that holds it, or {'name': it}.",
        )
    groups, rest = partition(flat, filters or (...,))
    if exhaustive and rest:
        raise remainder_error(rest)
    return [from_flat_state(group) for group in groups]


@overload
def state(node: Any) -> State: ...
@overload
def state(node: Any, first: Filter, /) -> State: ...
@overload
def state(node: Any, first: Filter, second: Filter, /) -> tuple[State, State]: ...
@overload
def state(
    node: Any, first: Filter, second: Filter, third: Filter, /
) -> tuple[State, State, State]: ...
@overload
def state(node: Any, /, *filters: Filter) -> State | tuple[State, ...]: ...
@takes_modes
def state(node: Any, *filters: Any) -> Any:
    """The state of an object graph: its Variables and arrays by path.

    It holds the Variables themselves, no copies, so that it follows the model. To keep
    today's values, for the best weights say, `best = nnx.state(nnx.clone(model))`.

    Args:
        node: a node, or a pytree of nodes.
        *filters: what to select; all where there are none.

    Returns:
        One State, or one for each of several filters.

    Example:
        >>> import oakum as nnx
        >>> nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param).kernel.shape
        (2, 3)
    """
    states = _select(_taken_from(node), filters, exhaustive=False)
    return tuple(states) if len(filters) > 1 else states[0]


@overload
def variables(node: Any) -> State: ...
@overload
def variables(node: Any, first: Filter, /) -> State: ...
@overload
def variables(node: Any, first: Filter, second: Filter, /) -> tuple[State, State]: ...
@overload
def variables(
    node: Any, first: Filter, second: Filter, third: Filter, /
) -> tuple[State, State, State]: ...
@overload
def variables(node: Any, /, *filters: Filter) -> State | tuple[State, ...]: ...
@takes_modes
def variables(node: Any, *filters: Any) -> Any:
    """As `state`, but without bare arrays."""
    flat = [(p, v) for p, v in _taken_from(node) if isinstance(v, Variable)]
    states = _select(flat, filters, exhaustive=False)
    return tuple(states) if len(filters) > 1 else states[0]


@takes_modes
def graphdef(node: M) -> GraphDef[M]:
    """The structure of an object graph.

    Raises:
        StaticValueError: a static attribute cannot be hashed.
    """
    return encode(node)[0]


@overload
def pop(node: Any, first: Filter, /) -> State: ...
@overload
def pop(node: Any, first: Filter, second: Filter, /) -> tuple[State, State]: ...
@overload
def pop(
    node: Any, first: Filter, second: Filter, third: Filter, /
) -> tuple[State, State, State]: ...
@overload
def pop(
    node: Any, first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def pop(node: Any, *filters: Any) -> Any:
    """Removes Variables from a graph, and returns them.

    Args:
        node: the graph to change.
        *filters: what to remove, such as `nnx.Intermediate`.

    Returns:
        A State, or one for each of several filters.

    Raises:
        FilterError: there is no filter.
    """
    if not filters:
        raise FilterError(
            "pop needs a filter", remedy="nnx.pop(model, nnx.Intermediate)"
        )
    found = _occurrences(node, filters)
    groups, _ = partition([(path, leaf) for path, leaf, _, _ in found], filters)
    gone = {path for group in groups for path, _ in group}
    for path, _, parent, key in reversed(found):
        if path in gone:
            _remove(parent, key)
    _note_taken(node)
    states = tuple(from_flat_state(_each_once(group)) for group in groups)
    return states if len(filters) > 1 else states[0]


def _occurrences(node: Any, filters: tuple) -> list[tuple[Path, Any, Any, Any]]:
    """Each place of each leaf that can be removed: path, leaf, parent and key.

    Where all filters are types, of those that one of them may select.
    """
    types = all([isinstance(filter, type) for filter in filters])
    found = places_of_leaves(node, filters if types else (object,))
    return [((*path, key), leaf, parent, key) for parent, path, key, leaf in found]


def _each_once(group: list[tuple[Path, Any]]) -> list[tuple[Path, Any]]:
    first: dict[int, tuple[Path, Any]] = {}
    for path, leaf in sorted(group, key=lambda item: [str(part) for part in item[0]]):
        first.setdefault(id(leaf), (path, leaf))
    return list(first.values())


def _remove(parent: Any, key: Any) -> None:
    if isinstance(parent, list | dict | State):
        del parent[key]
    else:
        delattr(parent, key)


@takes_modes
def clone(node: M, variables: bool = True, *, arrays: bool = False) -> M:
    """A copy of an object graph.

    Args:
        node: the graph.
        variables: False shares the Variables between the graph and its copy.
        arrays: whether to copy the arrays too. Sharing them is safe: a step copies
            an array that somebody else holds before it overwrites it.

    Raises:
        ArgumentValueError: `arrays=True` with `variables=False`, which share arrays.
    """
    if arrays and not variables:
        raise ArgumentValueError(
            "clone: arrays=True with variables=False",
            remedy="shared Variables share their arrays; give one of the two.",
        )
    graph, encoder = encode(node)
    bare = [node if slot is None else slot[key] for slot, key in encoder.leaves]
    with guard.handing_out():
        values = [v.get_raw_value() for v in encoder.variables]
    if not guard.active:  # another thread may be writing: all as of one moment
        values = guard.settled_values(encoder.variables)
    if arrays:
        values, bare = jax.tree.map(copy_array, (values, bare))
    if not variables:
        return Keeping(values, bare, list(encoder.variables)).build(graph.token)
    return decode(graph, values, bare)


def set_metadata(node: Any, *, only: Filter = Variable, **metadata: Any) -> None:
    """Sets metadata on the Variables of a graph, in place.

    Args:
        node: the graph.
        only: a filter for which.
        **metadata: names and values.
    """
    predicate = to_predicate(only)
    for path, leaf in leaves(node):
        if isinstance(leaf, Variable) and predicate(path, leaf):
            leaf.set_metadata(**metadata)


@takes_modes
def with_attributes(
    node: M, *, only: Filter = ..., raise_if_not_found: bool = True, **attributes: Any
) -> M:
    """A copy of a graph with other attributes; it shares the Variables.

    Args:
        node: the graph.
        only: a filter for which nodes.
        raise_if_not_found: whether an attribute that no node has is an error.
        **attributes: names and values.
    """
    new = clone(node, variables=False)
    set_attributes(new, only, raise_if_not_found=raise_if_not_found, **attributes)
    return new


def check_pytree(pytree: Node) -> None:
    """Checks that all static attributes below a node can be hashed and compared.

    Raises:
        StaticValueError: one cannot.
        ArgumentError: not a node.
    """
    if not isinstance(pytree, Node):
        raise ArgumentError(
            "check_pytree takes a Module or another Pytree, got "
            f"{type(pytree).__name__}",
            remedy="nnx.check_pytree(model).",
        )
    encode(pytree)
