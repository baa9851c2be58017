"""Form: what a node is made of, apart from the objects and arrays it holds.

Most attributes of a layer are configuration: numbers, names, functions. These *closed*
children, the keys and their order change rarely, so a node remembers them as a Form
until its version changes; whoever walks a graph visits the other, *open* children
alone. Forms are interned: equal ones are one object.
"""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Iterable, Iterator
from operator import is_, is_not
from typing import Any

import numpy as np

from .._compat import ConcreteArray
from .._objects._classes import class_edits, edits_of, note_described
from .._objects._nodes import OBJECTS
from .._objects._plain import own_object
from .._objects._vars import Attributes, WithDict
from .._statics._bypassed import bypassed
from .._statics._globals import changing_globals
from .._statics._static import Static, is_fixed

_ATOMS = frozenset((int, float, str, bool, bytes, complex, type(None)))
_OPEN = (ConcreteArray, list, dict)
_DICTS = (dict, Attributes)
_BUILTIN = types.BuiltinFunctionType
# Past what users, or the guard, do at each access of an attribute.
_read, _set = object.__getattribute__, object.__setattr__
_interned: weakref.WeakValueDictionary[Any, Form] = weakref.WeakValueDictionary()
_lock = threading.Lock()

STATIC_MARK, AS_ATTRIBUTE, AS_ARGUMENT = range(3)
"""How an open child is described: marked static, by the rule, or marked as data."""


class Form:
    """The class of a node, its keys, and its closed children.

    Attributes:
        cls: the class.
        marks: key to kind, for what was marked as data or static; or None.
        keys: the keys in canonical order.
        order: the keys in the order in which the container holds them.
        template: key to closed child in that order, None for the open ones.
        open: key of each open child, and how it is described, in canonical order.
        open_keys: the keys of `open` alone, at hand for each rebuilding.
        closed_keys, closed_values: the keys and values of the closed children.
        has_dict: whether the children are attributes.
        switched: the forms with one switch set otherwise, by its key and value.
    """

    __slots__ = (
        "__weakref__",
        "_edits",
        "_edits_seen",
        "_key",
        "closed_keys",
        "closed_values",
        "cls",
        "has_dict",
        "keys",
        "marks",
        "open",
        "open_keys",
        "order",
        "switched",
        "template",
    )
    template: dict[Any, Any]

    def __new__(
        cls,
        kind: type,
        marks: Static | None,
        keys: tuple,
        order: tuple,
        closed: tuple[Static | None, ...],
    ) -> Form:
        key = (kind, marks, keys, order, closed, edits_of(kind))
        with _lock:
            known = _interned.get(key)
            if known is None:
                bypassed.look(kind)
                known = _interned[key] = object.__new__(cls)
                known._fill(key)
        return known

    def _fill(self, key: tuple) -> None:
        self._key = key
        self.cls, marks, self.keys, self.order, closed, self._edits = key
        self._edits_seen = class_edits.now
        self.has_dict = issubclass(self.cls, WithDict)
        note_described(self.cls)
        self.marks = marks.value if marks else None
        pairs = list(zip(self.order, closed, strict=True))
        self.template = {k: None if one is None else one.value for k, one in pairs}
        left = {k for k, one in pairs if one is None}
        kinds = {"static": STATIC_MARK, "data": AS_ARGUMENT, None: AS_ATTRIBUTE}
        self.open = tuple(
            [(k, kinds[(self.marks or {}).get(k)]) for k in self.keys if k in left]
        )
        self.open_keys = tuple([k for k, _ in self.open])
        self.switched: dict[tuple[Any, bool], Form] = {}
        self.closed_keys = tuple([k for k, one in pairs if one is not None])
        self.closed_values = tuple([self.template[k] for k in self.closed_keys])

    def of_class_now(self) -> bool:
        """Whether the class is as it was when the form was made."""
        if self._edits_seen != class_edits.now:
            if self._edits != edits_of(self.cls):
                return False
            self._edits_seen = class_edits.now
        return True

    def content(self, built: Iterable[Any]) -> dict[Any, Any]:
        """All children by key, in the container's order, given the open ones."""
        content = self.template.copy()
        content.update(zip(self.open_keys, built, strict=True))
        return content

    def closed(self) -> Iterator[tuple[Any, Static]]:
        """Key and value of each closed child."""
        for key, one in zip(self.order, self._key[4], strict=True):
            if one is not None:
                yield key, one

    def __reduce__(self):
        return Form, self._key[:-1]

    def __copy__(self) -> Form:
        return self

    def __deepcopy__(self, memo: dict) -> Form:
        return self


def form_of(node: Any, slot: Any) -> Form:
    """The Form of a node; it is found anew only after a structural change.

    Args:
        node: the node.
        slot: where it holds its children.
    """
    form, version = _read(node, "_oakum_form"), _read(node, "_oakum_version")
    # The length too: `functools.cached_property` writes past `__setattr__`.
    if (
        form is not None
        and _read(node, "_oakum_formed") == version
        and (type(slot) not in _DICTS or len(slot) == len(form.order))
        and (form._edits_seen == class_edits.now or form.of_class_now())
        and (not bypassed.on or _is_filled_so(form, slot))
    ):
        return form
    form = _described(node, slot) if form is None else _after_edit(form, node, slot)
    remember(node, form, version)
    return form


def _after_edit(before: Form, node: Any, slot: Any) -> Form:
    """The Form of a node that had another, which knows its own with a switch set."""
    switched = _switched(before, node, slot)
    if switched is None:
        return _described(node, slot)
    known = before.switched.get(switched)
    if known is None:
        known = before.switched[switched] = _described(node, slot)
    return known


def _described(node: Any, slot: Any) -> Form:
    """The Form of a node, from all that it holds."""
    marks = node._oakum_marks
    keys = tuple([key for key, _ in node._oakum_children()])
    listed = type(slot) is list or issubclass(type(node), list)
    order = keys if listed else tuple(node._oakum_order())
    closed = tuple(
        [None if marks and key in marks else _closed(slot[key]) for key in order]
    )
    kind = type(own_object(node))
    return Form(kind, Static(marks) if marks else None, keys, order, closed)


def _is_filled_so(form: Form, slot: Any) -> bool:
    """Whether the closed children are those of a form, were they set unseen."""
    if type(slot) not in _DICTS:
        return True
    if tuple(slot) != form.order or not all(
        map(is_, map(slot.__getitem__, form.closed_keys), form.closed_values)
    ):
        return False
    atoms = [key for key in form.open_keys if type(slot[key]) in _ATOMS]
    return not atoms or form.marks is not None


def _switched(form: Form, node: Any, slot: Any) -> tuple[Any, bool] | None:
    """Which one switch of a node is set otherwise than in its last form, and to what.

    Returns:
        The key and the value; None where there is any other difference.
    """
    if (
        type(slot) not in _DICTS
        or form.cls is not type(own_object(node))
        or not form.of_class_now()
        or tuple(slot) != form.order
        or _read(node, "_oakum_marks") != form.marks
    ):
        return None
    for key in form.open_keys:
        kind = type(slot[key])
        if kind not in _OPEN and not issubclass(kind, OBJECTS):
            return None  # it may be closed now
    found = list(map(slot.__getitem__, form.closed_keys))
    others = list(map(is_not, found, form.closed_values))
    if sum(others) != 1:
        return None
    at = others.index(True)
    if type(found[at]) is not bool or type(form.closed_values[at]) is not bool:
        return None
    return form.closed_keys[at], found[at]


def fits(form: Form, node: Any, slot: Any, version: int) -> bool:
    """Whether an edited node has a form that it had before, which it then remembers.

    Args:
        form: the form.
        node: the node, whose open children are known to be of the form.
        slot: where it holds its children.
        version: its version before it is looked at.
    """
    if _read(node, "_oakum_formed") != version:
        same = (
            type(slot) in _DICTS
            and form.cls is type(own_object(node))
            and form.of_class_now()
            and tuple(slot) == form.order
            and _read(node, "_oakum_marks") == form.marks
        )
        for key, value in zip(form.closed_keys, form.closed_values, strict=True):
            if not same:
                break
            found = slot[key]
            same = found is value
            if not same and type(found) is type(value) is bool:
                return False  # the mode of a layer, most of the time
        if same:
            remember(node, form, version)
    return form_of(node, slot) is form


def remember(node: Any, form: Form, version: int) -> None:
    """Lets a node of a version know its form."""
    _set(node, "_oakum_form", form)
    _set(node, "_oakum_formed", version)


def _closed(value: Any) -> Static | None:
    """A value that cannot change unseen, and never holds state; else None."""
    kind = type(value)
    if kind in _ATOMS or kind is _BUILTIN or isinstance(value, np.dtype):
        return Static(value)
    if isinstance(value, type):
        return Static(value) if is_fixed(value) else None
    if kind is types.FunctionType:
        plain = value.__closure__ is None and "<" not in value.__qualname__
        return Static(value) if plain and not changing_globals(value) else None
    return Static(value) if kind is tuple and _is_constant(value) else None


def _is_constant(value: Any) -> bool:
    kind = type(value)
    return kind in _ATOMS or (kind is tuple and all(map(_is_constant, value)))
