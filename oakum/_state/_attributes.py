"""set_attributes, behind `train` and `eval`, and what it remembers of a graph.

Training goes to and fro between two modes. To walk a graph for the layers that have one
takes 2 µs for each node; to see that it is the same graph takes a quarter of that.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from operator import call, is_, ne
from typing import Any

from .. import _guard as guard
from .._compat import ConcreteArray
from .._graph._graphdef import Path
from .._graph._walk import nodes_of
from .._modes import takes_modes
from .._objects._module import Pytree
from .._objects._nodes import Node, is_data
from .._objects._vars import WithDict, own_dict
from .._objects._version import versions
from .._objects.variables._variable import Variable
from .._typing import Filter
from ..errors import FilterError
from ._filters import to_predicate
from ._state import State


@takes_modes
def set_attributes(
    node: Any, *filters: Filter, raise_if_not_found: bool = True, **attributes: Any
) -> None:
    """Sets attributes on every node of a graph that has them, in place.

    Args:
        node: the graph.
        *filters: which nodes; all where there are none.
        raise_if_not_found: whether an attribute that no node has is an error.
        **attributes: names and values, such as `deterministic=True`.

    Raises:
        FilterError: no selected node has one of the attributes.
    """
    predicate = to_predicate(filters) if filters else None
    missing = set(attributes)
    answers: dict[type, list[str]] = {}
    for path, module in _nodes_having(node, tuple(attributes)):
        if predicate is None or predicate(path, module):
            kind = type(module)
            if kind not in answers:
                answers[kind] = _answers(kind, attributes)
            for name, value in attributes.items():
                asks = name in answers[kind]
                if hasattr(module, name) if asks else name in own_dict(module):
                    missing.discard(name)
                    setattr(module, name, value)
    if missing and raise_if_not_found:
        raise FilterError(
            f"No selected module has the attributes {sorted(missing)}",
            remedy="check the names and filters, or give raise_if_not_found=False.",
        )


def _answers(kind: type, names: Iterable[str]) -> list[str]:
    """The attributes that nodes of a class may have though not in their dict."""
    if (
        hasattr(kind, "__getattr__")
        or kind.__getattribute__ is not Pytree.__getattribute__
        or not issubclass(kind, WithDict)
        or guard.active
    ):
        return list(names)
    return [name for name in names if hasattr(kind, name)]


def _nodes_having(root: Any, names: tuple[str, ...]) -> list[tuple[Path, Any]]:
    """The nodes that may have one of some attributes, children before their parent."""
    if guard.active or not isinstance(root, WithDict):
        return _having(nodes_of(root), names)
    key = id(root), names
    survey = _surveys.get(key)
    found = None if survey is None else survey.found_again()
    if found is None:
        pairs = nodes_of(root)
        found = _having(pairs, names)
        survey = _Survey(key, pairs, found)
        if None not in survey.parts:
            _surveys[key] = survey
    return found


def _having(
    pairs: Sequence[tuple[Path, Any]], names: tuple[str, ...]
) -> list[tuple[Path, Any]]:
    may: dict[type, bool] = {}
    found = []
    for path, one in pairs:
        kind = type(one)
        if kind not in may:
            may[kind] = _may_have_one(kind, names)
        if may[kind] or (_takes(kind) and not own_dict(one).keys().isdisjoint(names)):
            found.append((path, one))
    return found


def _may_have_one(kind: type, names: tuple[str, ...]) -> bool:
    return _takes(kind) and bool(_answers(kind, names))


def _takes(kind: type) -> bool:
    return issubclass(kind, Node) and not issubclass(kind, _CONTAINERS)


_CONTAINERS = (list, dict, State)


class _Survey:
    """The nodes of a graph, and which may have one of some attributes.

    It keeps none of them alive.

    Args:
        key: the identity of the root, and the names of the attributes.
        pairs: all nodes, and what else has parts, with their paths; the root last.
        found: those that may have one.
    """

    def __init__(self, key: Any, pairs: Sequence[Any], found: Sequence[Any]):
        nodes = [one for _, one in pairs if issubclass(type(one), Node)]
        self.parts = list(map(_parts_of, nodes))
        self._nodes: list[Any] = list(map(weakref.ref, nodes[:-1]))
        self._nodes.append(weakref.ref(nodes[-1], lambda _: _surveys.pop(key, None)))
        self._versions = versions(nodes)
        # Nobody notes an edit of a plain list or dict.
        self._always = [i for i, parts in enumerate(self.parts) if parts and parts[1]]
        numbers = {id(one): i for i, one in enumerate(nodes)}
        self._found = [(path, numbers[id(one)]) for path, one in found]
        self._among = {number for _, number in self._found}
        self._others = {
            type(one) for i, one in enumerate(nodes) if i not in self._among
        }
        self._names = key[1]

    def found_again(self) -> list[tuple[Path, Any]] | None:
        """Those that may have one; None where the graph is another."""
        nodes = list(map(call, self._nodes))
        if any(map(is_, nodes, repeat(None))):
            return None
        found = versions(nodes)
        if found != self._versions:
            edited = list(compress(range(len(nodes)), map(ne, found, self._versions)))
            if not self._among.issuperset(edited) or not self._as_were(edited, nodes):
                return None
            self._versions = found
        if self._always and not self._as_were(self._always, nodes):
            return None
        if any([_may_have_one(kind, self._names) for kind in self._others]):
            return None
        return [(path, nodes[number]) for path, number in self._found]

    def _as_were(self, numbers: Iterable[int], nodes: list[Any]) -> bool:
        return all([_parts_of(nodes[i]) == self.parts[i] for i in numbers])


_surveys: dict[Any, _Survey] = {}  # by the identity of the root, and by names


def _parts_of(node: Any) -> tuple[list[Any], list[Any]] | None:
    """Which nodes stand below a node: its own, and those in plain containers.

    Returns:
        None where it holds another pytree, of which that cannot be told at once.
    """
    attributes = issubclass(type(node), WithDict)
    pairs = own_dict(node).items() if attributes else node._oakum_children()
    own: list[Any] = [node._oakum_marks]
    contained: list[Any] = []
    for key, child in pairs:
        kind = type(child)
        if issubclass(kind, Node):
            own += key, id(child)
        elif kind is list or kind is dict:
            items = list(child.values()) if kind is dict else child
            if not all(map(_is_one, items)):
                return None
            keys = child if kind is dict else ()
            contained.append([key, *map(_mark, items), *keys])
        elif kind is tuple and all(map(_is_one, child)):
            own += key, *map(_mark, child)
        elif not _is_leaf(child):
            return None
    return own, contained


def _is_one(value: Any) -> bool:
    """Whether a value is a node, or has none below."""
    return issubclass(type(value), Node) or _is_leaf(value)


def _mark(value: Any) -> int | None:
    return id(value) if issubclass(type(value), Node) else None


def _is_leaf(value: Any) -> bool:
    kind = type(value)
    if kind in _LEAVES or issubclass(kind, Variable):
        return True
    return kind is not list and kind is not dict and not is_data(value)


_LEAVES = frozenset({ConcreteArray, int, float, bool, str, type(None)})
