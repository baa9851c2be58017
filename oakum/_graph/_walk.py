"""Walks over object graphs: every node and leaf once, with its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

from .._compat import ConcreteArray
from .._guard import active
from .._modes import takes_modes
from .._objects._module import Module, is_layer
from .._objects._nodes import (
    DATA_TYPES,
    NUMBERS,
    OBJECTS,
    Node,
    is_array,
    is_data,
)
from .._objects._plain import plain_children
from .._objects.variables._variable import Variable
from ..errors import ArgumentValueError
from ._flatten import tree_key
from ._form import AS_ARGUMENT, STATIC_MARK, form_of
from ._graphdef import Path


def children(value: Any) -> list[tuple[Any, Any]]:
    """The (key, child) pairs of a node or of a pytree such as a tuple; else none."""
    if isinstance(value, Node):
        return list(value._oakum_children())
    if isinstance(value, Variable) or is_array(value) or not is_data(value):
        return []
    if isinstance(value, tuple | list):
        names = getattr(type(value), "_fields", range(len(value)))
        return list(zip(names, value, strict=True))
    if isinstance(value, dict):
        return list(value.items())
    if type(value) in DATA_TYPES:
        return []
    pairs, _ = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda x: x is not value
    )
    return [(tree_key(path[0]), child) for path, child in pairs]


def is_leaf(value: Any) -> bool:
    """Whether a value is a Variable or an array."""
    return isinstance(value, Variable) or is_array(value)


def is_tree(value: Any) -> bool:
    """Whether a value has children: a node, or another pytree such as a list."""
    if isinstance(value, Node):
        return True
    leaves = jax.tree.leaves(value, is_leaf=lambda x: x is not value)
    return not isinstance(value, Variable) and not (
        len(leaves) == 1 and leaves[0] is value
    )


def walk(
    value: Any, path: Path = (), seen: set[int] | None = None
) -> Iterator[tuple[Path, Any]]:
    """Nodes and leaves, each once, children before their parent."""
    found: list[tuple[Path, Any]] = []
    _walk(value, path, set() if seen is None else seen, found, True)
    return iter(found)


def nodes_of(value: Any) -> list[tuple[Path, Any]]:
    """As `walk`, without the Variables and arrays that nodes hold."""
    found: list[tuple[Path, Any]] = []
    _walk(value, (), set(), found, False)
    return found


_VARIABLE, _NODE, _ARRAY, _OTHER = range(4)


class _Kinds(dict[type, int]):
    """The kinds of the children met so far; most are of a few classes."""

    def __missing__(self, kind: type) -> int:
        if issubclass(kind, Variable):
            found = _VARIABLE
        elif issubclass(kind, Node):
            found = _NODE
        else:
            found = _ARRAY if kind is ConcreteArray else _OTHER
        if len(self) < 4096:  # classes may be made without end
            self[kind] = found
        return found


_kinds = _Kinds()


def _walk(
    value: Any,
    path: Path,
    seen: set[int],
    found: list,
    whole: bool,
    below: bool = False,
) -> None:
    """Collects what is below a value.

    Args:
        value: where to start.
        path: where that stands.
        seen: the identities of what was met before.
        found: takes paths and values.
        whole: whether Variables and arrays that nodes hold are asked for.
        below: whether it is a part of a node, where a list or dict comes once as well.
    """
    kind = type(value)
    plain = below and (kind is list or kind is dict)
    if plain or issubclass(kind, OBJECTS):
        if id(value) in seen:
            return
        seen.add(id(value))
    if issubclass(kind, Node):
        _walk_node(value, path, seen, found, whole)
    elif not issubclass(kind, Variable):
        pairs = plain_children(value) if plain else children(value)
        for key, child in pairs:
            if is_data(child):
                _walk(child, (*path, key), seen, found, whole, below)
    found.append((path, value))


def _walk_node(node: Any, path: Path, seen: set[int], found: list, whole: bool) -> None:
    # By the class: to ask the node costs a call of its `__getattribute__`.
    slot = node._oakum_slot() if active else type(node)._oakum_slot(node)
    for key, how in form_of(node, slot).open:
        child = slot[key]
        what = _kinds[type(child)]
        if what == _NODE and how != STATIC_MARK:
            _walk(child, (*path, key), seen, found, whole)
        elif how == STATIC_MARK:
            continue
        elif what == _OTHER and is_data(child):
            _walk(child, (*path, key), seen, found, whole, True)
        elif not whole or (what == _OTHER and how != AS_ARGUMENT):
            continue
        elif what != _VARIABLE or id(child) not in seen:
            seen.add(id(child))  # a bare array may come twice, and is met here alone
            found.append(((*path, key), child))


def leaves(node: Any) -> list[tuple[Path, Any]]:
    """The Variables and bare arrays of a graph, each once, with path, in order."""
    found: list[tuple[Path, Any]] = []
    _walk(node, (), set(), found, True)
    return [pair for pair in found if _is_leaf(pair[1])]


def places_of_leaves(
    node: Any, types: tuple[type, ...] = (object,)
) -> list[tuple[Any, Path, Any, Any]]:
    """Every place of a leaf in a node, list or dict: that, its path, key and leaf.

    Args:
        node: the graph.
        types: which leaves are meant.
    """
    found: list[tuple[Any, Path, Any, Any]] = []
    if issubclass(type(node), Node):
        _places_of_node(node, (), set(), types, found)
    elif not issubclass(type(node), Variable):
        _places_of_tree(node, (), set(), types, found, False)
    return found


def _places_of_node(
    node: Any, path: Path, seen: set[int], types: tuple[type, ...], found: list
) -> None:
    """As `_walk_node`, in one go with the places: `pop` is a part of many steps."""
    if id(node) in seen:
        return
    seen.add(id(node))
    slot = node._oakum_slot() if active else type(node)._oakum_slot(node)
    form = form_of(node, slot)
    pairs = [(key, slot[key]) for key, how in form.open if how != STATIC_MARK]
    own = _own_places(node, path, pairs, seen, types, found, True)
    found += own


def _places_of_tree(
    value: Any,
    path: Path,
    seen: set[int],
    types: tuple[type, ...],
    found: list,
    below: bool,
) -> None:
    """The same of what is no node: of a list or dict below one once."""
    kind = type(value)
    if below and (kind is list or kind is dict):
        if id(value) in seen:
            return
        seen.add(id(value))
        pairs = plain_children(value)
    else:
        pairs = children(value)
    own = _own_places(value, path, pairs, seen, types, found, below)
    if issubclass(kind, list | dict):
        found += own


def _own_places(
    value: Any,
    path: Path,
    pairs: Iterable[tuple[Any, Any]],
    seen: set[int],
    types: tuple[type, ...],
    found: list,
    below: bool,
) -> list[tuple[Any, Path, Any, Any]]:
    """The places of leaves in a value itself; `found` takes those further below.

    Args:
        value: the value.
        path: where it stands.
        pairs: what stands directly below it.
        seen: the identities of what was met before.
        types: which leaves are meant.
        found: takes the places of others.
        below: whether it is a node or a part of one.
    """
    own = []
    for key, child in pairs:
        what = _kinds[type(child)]
        if what == _NODE:
            _places_of_node(child, (*path, key), seen, types, found)
            continue
        if what == _OTHER and is_data(child):
            _places_of_tree(child, (*path, key), seen, types, found, below)
        if isinstance(child, types) and (what != _OTHER or is_leaf(child)):
            own.append((value, path, key, child))
    return own


def _is_leaf(value: Any) -> bool:
    what = _kinds.get(type(value), _OTHER)
    if what != _OTHER:
        return what != _NODE
    return issubclass(type(value), Variable) or not (
        issubclass(type(value), Node) or children(value) or _empty_tree(value)
    )


def _empty_tree(value: Any) -> bool:
    return isinstance(value, tuple | list | dict) or not (
        isinstance(value, (Variable, *NUMBERS))
        or is_array(value)
        or type(value) in DATA_TYPES
    )


def aliases(node: Any, known: Mapping[Path, Any]) -> dict[Path, Path]:
    """The further paths of shared objects, each with the path that counts.

    Args:
        node: the graph.
        known: the Variables and nodes that are asked for, by the path that counts.
    """
    first = {
        id(value): path
        for path, value in known.items()
        if isinstance(value, Node | Variable)
    }
    found: dict[Path, Path] = {}
    above: set[int] = set()

    def visit(value: Any, path: Path) -> None:
        if id(value) in first:
            if first[id(value)] != path:
                found[path] = first[id(value)]
        elif id(value) not in above:
            above.add(id(value))
            for key, child in children(value):
                visit(child, (*path, key))
            above.discard(id(value))

    visit(node, ())
    return found


def places(node: Any, known: Mapping[Path, Any]) -> list[tuple[Path, Any]]:
    """Objects with every path that they have; `known` as for `aliases`."""
    further = aliases(node, known)
    return [*known.items(), *[(path, known[at]) for path, at in further.items()]]


@takes_modes
def iter_graph(node: Any) -> Iterator[tuple[Path, Any]]:
    """Nodes, Variables, arrays and static attributes of a graph, with their paths.

    Each shared object comes once, and children come before their parent.

    Example:
        >>> import oakum as nnx
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> [path for path, x in nnx.iter_graph(layer) if isinstance(x, nnx.Param)]
        [('bias',), ('kernel',)]
    """
    return _iter_graph(node, (), set())


def _iter_graph(value: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Node | Variable):
        if id(value) in seen:
            return
        seen.add(id(value))
    for key, child in children(value):
        yield from _iter_graph(child, (*path, key), seen)
    yield path, value


@takes_modes
def iter_children(node: Any) -> Iterator[tuple[Any, Any]]:
    """The Variables and nodes that stand directly below a node: name and child.

    Raises:
        ArgumentValueError: it has no children: no node, and no pytree of such.
    """
    if not is_tree(node):
        raise ArgumentValueError(
            f"iter_children takes a node, got {type(node).__name__}",
            remedy="nnx.iter_children(model).",
        )
    return ((k, c) for k, c in children(node) if isinstance(c, Node | Variable))


@takes_modes
def iter_module_children(node: Any) -> Iterator[tuple[Any, Any]]:
    """The modules, Lists and Dicts directly below a node: name and module."""
    return ((k, c) for k, c in children(node) if isinstance(c, Module))


@takes_modes
def iter_modules(module: Any) -> Iterator[tuple[Path, Any]]:
    """All modules, Lists and Dicts of a graph, each once, children before parents."""
    return (pair for pair in nodes_of(module) if issubclass(type(pair[1]), Module))


def modules_of(node: Any) -> Iterator[tuple[Path, Module]]:
    """The modules of a graph alone, as `iter_modules` without Lists and Dicts."""
    found = nodes_of(node)
    return (pair for pair in found if is_layer(type(pair[1])))
