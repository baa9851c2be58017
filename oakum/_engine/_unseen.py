"""Edits that nobody sees as they happen: found by what was there before a body ran.

A plain list or dict, and a pytree of others such as an OrderedDict, has no version. So
the content of those that twins hold is compared at the end; what a body does to a list
of its caller's under another name is undone there, and done to the twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from operator import is_
from typing import Any

import jax
from jax.core import Tracer

from .. import _guard as guard
from .._compat import trace_of
from .._graph import LEAF, NODE, STATIC, TREE, holds_plain
from .._guard import (
    Frame,
    content_of,
    contents_below,
    put_back,
    quiet,
    same_content,
)
from .._objects import WithDict, bump, is_data, is_object, own_dict
from .._objects._plain import Held, known_held, look
from .._statics import Part, places_of

Contents = list[tuple[Held, tuple]]


def contents(originals: list[Any]) -> Contents:
    """The plain lists and dicts among objects, with what they hold."""
    return [(o, content_of(o.items)) for o in originals if type(o) is Held]


def take_back(items: Any, before: tuple) -> tuple | None:
    """Undoes what a body did to a list of its caller's that it captured; gives it."""
    if same_content(items, before):
        return None
    after = content_of(items)
    put_back(items, before)
    return after


def take_over(frame: Frame, before: Contents) -> None:
    """Does to twins what a body has done to the lists of its caller by now."""
    for original, content in before:
        move_edit(frame, original, take_back(original.items, content))


def move_edit(frame: Frame, original: Held, content: tuple | None) -> None:
    """Does to the twin of a plain list or dict what a body did to the list itself.

    Raises:
        TraceContextError: the body edited both, or may edit neither.
    """
    if content is None:
        return
    twin = frame.twins[id(original)]
    if not same_content(twin.items, twin.seen):
        raise guard.leak_error(original)
    guard.writable(twin)
    keyed = type(original.items) is dict
    items = [_twin_of(frame, item) for item in (content[1] if keyed else content)]
    put_back(twin.items, (content[0], items) if keyed else items)
    look(twin)


def _twin_of(frame: Frame, item: Any) -> Any:
    if type(item) is list or type(item) is dict:
        known = known_held(item)
        return item if known is None else frame.twins.get(id(known), known).items
    return frame.twins.get(id(item), item)


def note_before(frame: Frame, token: Any, twins: list[Any], roots: Any) -> dict:
    """Notes what there is before the body runs, for `settle` to compare.

    Returns:
        The bare arrays by the index of their node and the key.
    """
    arrays, frame.loose = content_before(token, twins)
    frame.plain = [twin for twin in twins if type(twin) is Held]
    frame.attributes = AttributesBefore(twins)
    frame.given = contents_below(roots)
    for owner, value in _settings(token, twins, None):
        guard.note_settings(frame.read, owner, value)
    return arrays


def _settings(token: Any, twins: list[Any], owner: Any) -> Iterator[tuple[Any, Any]]:
    """The configuration of the arguments, and what has it."""
    if token[0] == STATIC:
        if type(token[1].value) not in quiet:
            yield owner, token[1].value
    elif token[0] == TREE:
        for child in token[4]:
            yield from _settings(child, twins, owner)
    elif token[0] == NODE:
        for child in token[3]:
            yield from _settings(child, twins, twins[token[2]])


def settle(frame: Frame) -> None:
    """Notes edits that nobody saw as edits of the twins.

    Raises:
        TraceContextError: what is captured was edited.
    """
    if frame.attributes is not None:
        frame.attributes.settle()
    for held in frame.plain:
        if look(held) or held._oakum_version:
            guard.writable(held)
    for twin, key, content in frame.loose:
        if _content_of(twin, key) != content:
            bump(guard.writable(twin))


class AttributesBefore:
    """What nodes had as attributes; most bodies edit none past the node's own methods.

    Args:
        nodes: the nodes.
    """

    __slots__ = ("_dicts", "_names", "_nodes", "_values")

    def __init__(self, nodes: list[Any]):
        self._nodes = [node for node in nodes if isinstance(node, WithDict)]
        self._dicts = list(map(own_dict, self._nodes))
        self._names = list(map(tuple, self._dicts))
        self._values = self._all()

    def _all(self) -> list[Any]:
        return list(chain.from_iterable(map(dict.values, self._dicts)))

    def settle(self) -> None:
        """Notes an edit of the nodes that have other attributes, and did not see it."""
        now = list(map(tuple, self._dicts))
        if now == self._names and all(map(is_, self._all(), self._values)):
            return
        values = iter(self._values)
        for node, own, names in zip(self._nodes, self._dicts, self._names, strict=True):
            before = dict(zip(names, values, strict=False))
            if not node._oakum_version and _are_others(type(node), own, before):
                bump(guard.writable(node))


class AttributesMet:
    """What captured nodes had as attributes, where a body may set some unseen.

    Args:
        mark: the running trace.
    """

    __slots__ = ("_mark", "_met")

    def __init__(self, mark: Any):
        self._mark = mark
        self._met: list[tuple[Any, dict]] = []

    def note(self, obj: Any) -> None:
        """Notes what an object of an outer trace has."""
        if isinstance(obj, WithDict) and obj._oakum_mark != self._mark:
            self._met.append((obj, dict(own_dict(obj))))

    def put_back(self) -> list[Any]:
        """Undoes what left a value of the trace in an attribute; the nodes that had."""
        holders = []
        for obj, before in self._met:
            own = own_dict(obj)
            for name, value in list(own.items()):
                held = before.get(name)
                if value is held or not isinstance(value, Tracer):
                    continue
                if trace_of(value) == self._mark:
                    if name in before:
                        dict.__setitem__(own, name, held)
                    else:
                        dict.__delitem__(own, name)
                    holders.append(obj)
        return holders


def _are_others(cls: type, own: dict, before: dict) -> bool:
    """Whether attributes differ; what a property has computed is none."""
    for name in own.keys() ^ before.keys():
        if not isinstance(getattr(cls, name, None), cached_property):
            return True
    return any([_is_other(own[n], before[n]) for n in own.keys() & before.keys()])


def _is_other(value: Any, before: Any) -> bool:
    """Whether a value is another; one empty list is as good as another."""
    if value is before:
        return False
    alike = type(value) is type(before) and isinstance(value, list | dict)
    return not alike or len(value) + len(before) > 0


def tell_put_in(frame: Frame, result: Any) -> None:
    """Tells of objects that were put in a list or dict which nobody gets back."""
    edited = [(i, old) for i, old in frame.given if not same_content(i, old)]
    if not edited:
        return
    returned = {id(items) for items, _ in contents_below(result)}
    for items, before in edited:
        keyed = isinstance(items, dict)
        known = set(map(id, before[1] if keyed else before))
        new = [x for x in (items.values() if keyed else items) if id(x) not in known]
        put = [x for x in new if is_object(x)]
        if put and id(items) not in returned:
            kind = "dict" if keyed else "list"
            guard.tell_put_in(type(put[0]).__name__, kind, frame)


def note_met(read: dict, mark: Any, obj: Any) -> list[Part]:
    """Notes what an object of an outer trace holds that can change unseen.

    Args:
        read: what was noted by now.
        mark: the running trace; what was made in it is written as it stands.
        obj: the object.

    Returns:
        What pytrees of others find in their classes.
    """
    shared: list[Part] = []
    if obj._oakum_mark == mark:
        return shared
    for _, child in obj._oakum_children():
        if type(child) not in quiet and not is_object(child):
            guard.note_held(read, obj, child)
            if is_data(child) and not holds_plain(child):
                shared += [part for part in places_of(child) if type(part[1]) is type]
    return shared


def content_before(token: Any, twins: list[Any]) -> tuple[dict, list]:
    """What nodes hold before the run: bare arrays, and pytrees that can change unseen.

    Returns:
        The arrays by the index of their node and the key, and for each pytree its node,
        the key, and its content.
    """
    arrays: dict[tuple[int, Any], Any] = {}
    loose: list[tuple[Any, Any, Any]] = []
    for number, key, child in _children_of_nodes(token):
        if child[0] == LEAF:
            arrays[number, key] = twins[number]._oakum_slot()[key]
        elif _is_loose(child):
            loose.append((twins[number], key, _content_of(twins[number], key)))
    return arrays, loose


def _children_of_nodes(token: Any) -> Iterator[tuple[int, Any, Any]]:
    """Index of the node, key and token of what nodes hold that is no object."""
    if token[0] == TREE:
        for child in token[4]:
            yield from _children_of_nodes(child)
    elif token[0] == NODE:
        _, form, number, children = token
        for (key, _), child in zip(form.open, children, strict=True):
            if child[0] in (LEAF, TREE):
                yield number, key, child
            yield from _children_of_nodes(child)


def _is_loose(token: Any) -> bool:
    """Whether a pytree, or one in it, can be edited in place."""
    if token[0] != TREE:
        return False
    return token[2] is not None or any(map(_is_loose, token[4]))


def _content_of(node: Any, key: Any) -> Any:
    """The structure and the identities of the leaves of a pytree that a node holds."""
    try:
        value = node._oakum_slot()[key]
    except LookupError:
        return None
    leaves, treedef = jax.tree.flatten(value, is_leaf=is_object)
    return treedef, [_Same(leaf) for leaf in leaves]


class _Same:
    """Compares by identity."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value
