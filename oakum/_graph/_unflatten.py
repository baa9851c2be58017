"""Decode: a GraphDef and leaf values to objects, new or in place.

A Decoder makes Variables and nodes with the frame and trace mark it is given, so that
twins belong to their transform. With `existing` objects it fills these instead; the
filling is collected and done by the caller in one go.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from functools import reduce
from types import MethodType
from typing import Any

import jax

from .._guard import context, current_trace
from .._objects._nodes import is_data
from .._objects._plain import held, own_object
from .._objects._vars import WithDict, blank, formed, furnish
from .._objects.variables._variable import fill_slots
from .._statics._static import Static
from ._form import Form
from ._graphdef import ARG, KEPT, LEAF, NODE, OWN, REF, STATIC, TREE, VAR, GraphDef

# Past what users, or the guard, do at each access of an attribute.
_read, _set = object.__getattribute__, object.__setattr__
Fill = tuple[Any, Any, Any]  # object, value or content, metadata or form


class Decoder:
    """One pass over the tokens of a GraphDef.

    Args:
        variables: the value of each Variable, in canonical order.
        leaves: the value of each bare leaf, in canonical order.
        args: the dynamic arguments of the call.
        existing: index to object, for objects to fill in place or to refer to.
        origins: index to object, for the lines where twins' originals were made.
        own: what existing nodes had in some places before they were filled.
        frame, mark: what the new objects belong to.
    """

    __slots__ = (
        "args",
        "existing",
        "fills",
        "frame",
        "leaves",
        "made",
        "mark",
        "objects",
        "origins",
        "own",
        "variables",
    )

    def __init__(
        self,
        variables: Iterable[Any] = (),
        leaves: Iterable[Any] = (),
        args: Any = (),
        existing: Mapping[int, Any] | None = None,
        origins: list[Any] | None = None,
        own: dict[Any, Any] | None = None,
    ):
        self.variables = iter(variables)
        self.leaves = iter(leaves)
        self.args = args
        self.existing = existing or {}
        self.origins = origins
        self.own: dict[Any, Any] = {} if own is None else own
        self.objects: dict[int, Any] = dict(self.existing)
        self.fills: list[Fill] = []
        self.made: list[tuple[int, Any, Any]] = []  # Variables: index, it, its value
        self.frame = context.frame
        self.mark = current_trace()

    def build(self, token: tuple) -> Any:
        """The object that a token describes."""
        tag = token[0]
        if tag == VAR:
            return self._variable(token)
        if tag == NODE:
            return self._node(token)
        if tag == STATIC:
            return token[1].value
        if tag == REF:
            return own_object(self.objects[token[1]])
        if tag == LEAF:
            return next(self.leaves)
        if tag == ARG:
            return self.args[token[1]]
        if tag == KEPT:
            return None  # `_keep_own` puts it there
        if tag == OWN:
            return self._own(token)
        return self._tree(token)

    def _variable(self, token: tuple) -> Any:
        _, cls, number, meta = token
        value = next(self.variables)
        known = self.existing.get(number)
        if known is not None:
            content = meta.value
            if meta.parts and Static(known._meta, seen=True) == meta:
                content = known._meta
            self.fills.append((known, value, content))
            return known
        new = self.objects[number] = fill_slots(
            object.__new__(cls),
            value,
            dict(meta.value),
            self.frame,
            self.mark,
            self._origin(number),
        )
        self.made.append((number, new, value))
        return new

    def _node(self, token: tuple) -> Any:
        _, form, number, children = token
        known = node = self.existing.get(number)
        if known is None:
            node = new_node(form, self.frame, self.mark, self._origin(number))
            self.objects[number] = node
        make = self._variable
        built = [make(c) if c[0] == VAR else self.build(c) for c in children]
        for place, child in enumerate(children):
            if child[0] == TREE and child[1] is MethodType:  # its object is there now
                built[place] = self._tree(child)
        if known is None:
            fill_new(node, form, built)
        else:
            content = form.content(built)
            _keep_own(node, zip(form.open_keys, children, strict=True), content)
            self.fills.append((node, content, form))
        return own_object(node)

    def _own(self, token: tuple) -> Any:
        """What an existing node has in some place, before anything is filled."""
        _, number, keys = token
        if (number, keys) not in self.own:
            node = self.existing[number]
            slot = type(node)._oakum_slot(node)
            self.own[number, keys] = reduce(operator.getitem, keys, slot)
        return self.own[number, keys]

    def _origin(self, number: int) -> Any:
        return _read(self.origins[number], "_oakum_origin") if self.origins else None

    def _tree(self, token: tuple) -> Any:
        _, kind, treedef, keys, children = token
        if kind is MethodType:
            function, owner = children
            owner = self.objects.get(owner[1])
            return None if owner is None else MethodType(function[1].value, owner)
        built = [self.build(child) for child in children]
        if treedef is not None:
            return jax.tree.unflatten(treedef.value, built)
        if kind is dict:
            return dict(zip(keys, built, strict=True))
        return kind(*built) if hasattr(kind, "_fields") else kind(built)


def _keep_own(node: Any, children: Iterable[tuple], content: dict) -> None:
    """Lets a node keep what is kept, and configuration that equals its own."""
    slot = node._oakum_slot()
    for key, token in children:
        if token[0] == KEPT:
            content[key] = slot[key]
        elif token[0] == STATIC and token[1].parts:
            try:
                own = slot[key]
            except LookupError:
                continue
            if not is_data(own) and Static(own) == token[1]:
                content[key] = own


def new_node(form: Form, frame: Any, mark: Any, origin: Any) -> Any:
    """A node of a Form, without children as yet.

    Args:
        form: the Form.
        frame, mark: what it belongs to.
        origin: the line that made what it stands for.
    """
    if form.has_dict:
        return formed(form, frame, mark, origin)
    node = empty(form.cls)
    _set(node, "_oakum_version", 0)
    _set(node, "_oakum_frame", frame)
    _set(node, "_oakum_mark", mark)
    _set(node, "_oakum_origin", origin)
    _set(node, "_oakum_marks", form.marks)
    _set(node, "_oakum_form", form)
    _set(node, "_oakum_formed", 0)
    return node


def fill_new(node: Any, form: Form, built: Iterable[Any]) -> None:
    """Gives a new node its children, of which `built` are the open ones."""
    if form.has_dict:
        furnish(node, form.template, zip(form.open_keys, built, strict=True))
    else:
        type(node)._oakum_fill(node, form.content(built))


def empty(cls: type) -> Any:
    """A node of a class, without children and bookkeeping, and not initialized."""
    if cls is list or cls is dict:
        return held(cls())
    if issubclass(cls, list):  # past `List.__new__`, which looks for the line
        return list.__new__(cls)
    if issubclass(cls, dict):
        return dict.__new__(cls)
    return blank(cls) if issubclass(cls, WithDict) else object.__new__(cls)


def decode(graphdef: GraphDef, variables: Iterable[Any], leaves: Iterable[Any]) -> Any:
    """New objects of a structure, with the values given in canonical order."""
    return Decoder(variables, leaves).build(graphdef.token)
