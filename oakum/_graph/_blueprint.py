"""Blueprint: the objects of a structure, made in one go around given Variables.

`merge` builds one structure again and again. A Decoder follows the tokens one by one,
each time; a Blueprint has followed them once, and remembers what it has built.
"""

from __future__ import annotations

from typing import Any

from .._guard import context, current_trace
from .._objects._plain import own_object
from .._objects.variables._variable import get_meta
from ._form import Form
from ._graphdef import LEAF, NODE, REF, STATIC, VAR, GraphDef
from ._match import object_tokens
from ._snapshot import put_snapshot
from ._unflatten import fill_new, new_node


class Blueprint:
    """How to build a structure of nodes, Variables, bare arrays and configuration.

    What it builds stands in one list: the objects by index, then the bare arrays, and
    the configuration at the end, counted from there.

    Args:
        graphdef: the structure.

    Attributes:
        whole: whether it can build all that the structure has.
    """

    __slots__ = (
        "_constants",
        "_graphdef",
        "_metas",
        "_n_leaves",
        "_n_objects",
        "_nodes",
        "_root",
        "_to_keep",
        "_types",
        "_variables",
        "whole",
    )

    def __init__(self, graphdef: GraphDef):
        self._graphdef = graphdef
        self._nodes: list[tuple[Form, int, list[int]]] = []  # parents come first
        self._variables: list[tuple] = []  # their tokens
        self._constants: list[Any] = []
        self._n_objects = sum(1 for _ in object_tokens(graphdef.token))
        self._n_leaves = 0
        self.whole = True
        self._root = self._place(graphdef.token)
        self._types = [token[1] for token in self._variables]
        self._metas = [token[3].value for token in self._variables]
        unseen = any([token[3].parts for token in self._variables])
        unseen |= any([form.cls in (list, dict) for form, _, _ in self._nodes])
        self._to_keep = not (self._n_leaves or self._constants or unseen)

    def _place(self, token: Any) -> int:
        """Notes how what a token describes is made; gives its place in the list."""
        tag = token[0]
        if tag == VAR:
            self._variables.append(token)
            return token[2]
        if tag == NODE:
            places: list[int] = []
            self._nodes.append((token[1], token[2], places))
            places += map(self._place, token[3])
            return token[2]
        if tag == REF:
            return token[1]
        if tag == LEAF:
            self._n_leaves += 1
            return self._n_objects + self._n_leaves - 1
        if tag == STATIC:
            self._constants.insert(0, token[1].value)
            return -len(self._constants)
        self.whole = False
        return 0

    def build(self, variables: list[Any], leaves: list[Any]) -> Any:
        """The objects of the structure, which belong to the running trace.

        Args:
            variables: a Variable for each, in canonical order.
            leaves: the bare arrays in canonical order.
        """
        frame, mark = context.frame, current_trace()
        made: list[Any] = [None] * self._n_objects + leaves + self._constants
        for token, variable in zip(self._variables, variables, strict=True):
            made[token[2]] = variable
        nodes = [new_node(form, frame, mark, None) for form, _, _ in self._nodes]
        for node, (_, number, _) in zip(nodes, self._nodes, strict=True):
            made[number] = own_object(node)
        get = made.__getitem__
        for node, (form, _, places) in zip(nodes, self._nodes, strict=True):
            fill_new(node, form, map(get, places))
        root = made[self._root]
        if self._to_keep and self._describes(variables):
            put_snapshot(root, self._graphdef, made, variables)
        return root

    def _describes(self, variables: list[Any]) -> bool:
        """Whether Variables are those of the structure: what is given may differ."""
        if len(set(map(id, variables))) != len(variables):
            return False
        if list(map(type, variables)) != self._types:
            return False
        return list(map(get_meta, variables)) == self._metas


def blueprint_of(graphdef: GraphDef) -> Blueprint | None:
    """How to build a structure, once it was built before; None where it takes more."""
    known = graphdef._blueprint
    if known is None:
        graphdef._blueprint = known = Blueprint(graphdef)
    return known if known.whole else None
