"""Object graphs with other leaves or nodes, and their shared objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._graph._flatten import encode
from .._graph._graphdef import Path
from .._graph._unflatten import empty
from .._graph._walk import children, leaves
from .._modes import takes_modes
from .._objects._nodes import Node, is_array, stamp
from .._objects.variables._variable import Variable
from .._typing import Filter, M
from ..errors import StructureError
from ._filters import to_predicate
from ._merge import Merging
from ._update import rebuilt, set_child, show


@takes_modes
def map(
    f: Callable[[Path, Any], Any], node: M, *, recreate_variables: bool = True
) -> M:
    """A graph of the same structure whose leaves are `f(path, leaf)`.

    A Variable that `f` returns is put there as it is, be it a new one or its argument.

    Args:
        f: takes a path and a Variable or array; returns one.
        node: the graph.
        recreate_variables: False puts an array there where `f` returns one; by default
            it becomes a Variable of the type that stood there.

    Example:
        >>> import oakum as nnx
        >>> layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> halved = nnx.map(lambda path, v: v / 2, layer)
        >>> type(halved.kernel).__name__
        'Param'
    """
    graph, _ = encode(node)
    if graph.paths == (((), True),):
        return f((), node)
    new = {path: f(path, leaf) for path, leaf in leaves(node)}
    boxes = [new[p] for p, is_variable in graph.paths if is_variable]
    bare = [new[p] for p, is_variable in graph.paths if not is_variable]
    return Merging(boxes, bare, recreate_variables).build(graph.token)


@takes_modes
def recursive_map(f: Callable[[Path, Any], Any], node: Any) -> Any:
    """A copy of a graph in which `f(path, value)` stands for every node and leaf.

    Children are mapped before their parent, and shared objects once. The graph itself
    stays as it is; a Variable that `f` returns as it came is shared with the copy.

    Args:
        f: takes a path and a node, Variable, array or static value; returns what
            stands for it.
        node: the graph.

    Raises:
        StructureError: `f` replaces a node that one of its own children refers to.
    """
    return _RecursiveMap(f).visit(node, ())


class _RecursiveMap:
    __slots__ = ("alive", "done", "f", "open", "referred")

    def __init__(self, f: Callable[[Path, Any], Any]):
        self.f = f
        self.alive: list[Any] = []  # what `done` knows by id must not go away
        self.done: dict[int, Any] = {}
        self.open: dict[int, Any] = {}
        self.referred: set[int] = set()

    def visit(self, value: Any, path: Path) -> Any:
        ident = id(value)
        if not isinstance(value, Node | Variable):
            return self.f(path, self._children(value, path))
        if ident in self.done:
            return self.done[ident]
        if ident in self.open:
            self.referred.add(ident)
            return self.open[ident]
        self.alive.append(value)
        if isinstance(value, Variable):
            self.done[ident] = self.f(path, value)
            return self.done[ident]
        copy = self.open[ident] = _shallow(value)
        self._children(copy, path)
        result = self.f(path, copy)
        if result is not copy and ident in self.referred:
            raise StructureError(
                f"recursive_map: f replaces the {type(value).__name__} at "
                f"{show(path)}, to which a node below it refers",
                remedy="return the node that f is given, edited in place.",
            )
        del self.open[ident]
        self.done[ident] = result
        return result

    def _children(self, value: Any, path: Path) -> Any:
        """Maps the children of a node in place; another pytree is built anew."""
        old = children(value)
        new = [self.visit(child, (*path, key)) for key, child in old]
        changed = [a is not b for a, (_, b) in zip(new, old, strict=True)]
        if not any(changed):
            return value
        if not isinstance(value, Node):
            return rebuilt(value, new)
        for (key, _), child, other in zip(old, new, changed, strict=True):
            if other:
                set_child(value, key, child)
        return value


def _shallow(node: Any) -> Any:
    new = stamp(empty(type(node)))
    pairs = dict(node._oakum_children())
    new._oakum_fill({key: pairs[key] for key in node._oakum_order()})
    object.__setattr__(new, "_oakum_marks", node._oakum_marks)
    return new


def swap(node: Node, new: Mapping[int, Node]) -> None:
    """Puts other nodes in the places of some below a node, in place.

    Args:
        node: the graph to change; itself stays.
        new: what to put in the place of each, by its `id`.
    """
    seen: set[int] = set()

    def visit(value: Any) -> Any:
        if id(value) in new:
            return new[id(value)]
        if isinstance(value, Variable) or id(value) in seen:
            return value
        if isinstance(value, Node):
            seen.add(id(value))
        old = children(value)
        after = [visit(child) for _, child in old]
        changed = [(k, b) for (k, a), b in zip(old, after, strict=True) if a is not b]
        if changed and not isinstance(value, Node):
            return rebuilt(value, after)
        for key, child in changed:
            set_child(value, key, child)
        return value

    visit(node)


def find_duplicates(node: Any, *, only: Filter = ...) -> list[list[Path]]:
    """The paths of each shared node, Variable or array that has several.

    Args:
        node: the graph.
        only: a filter for what to look at.
    """
    predicate = to_predicate(only)
    found: dict[int, list[Path]] = {}

    def visit(value: Any, path: Path) -> None:
        if isinstance(value, Node | Variable) or is_array(value):
            if id(value) in found:
                if predicate(path, value):
                    found[id(value)].append(path)
                return
            found[id(value)] = [path]
        for key, child in children(value):
            visit(child, (*path, key))

    visit(node, ())
    return [paths for paths in found.values() if len(paths) > 1]
