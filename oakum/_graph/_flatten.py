"""Encode: objects to a GraphDef and its leaves, in one pass.

Each node and Variable gets an index at its first visit; later visits are references.
Leaves come out as they stand: Variables, and for bare arrays the place they stand in,
so that the engine can fetch their values again without another walk.
"""

from __future__ import annotations

from itertools import count
from types import MethodType
from typing import Any

import jax

from .._compat import EAGER, tracing
from .._guard import ROOT, active, context, readable, resolve
from .._objects._nodes import DATA_TYPES, NUMBERS, OBJECTS, is_array, is_data, is_object
from .._objects._plain import Held, held, known_held, own_object
from .._objects.variables._variable import Variable
from .._repr import path_text
from .._statics._static import Static, static_key
from ..errors import ArgumentError, OakumError
from ._form import AS_ARGUMENT, STATIC_MARK, form_of
from ._graphdef import ARG, LEAF, NODE, REF, STATIC, TREE, VAR, GraphDef

_NONE = (STATIC, Static(None))
_LEAF = (LEAF,)
_NO_META = Static({}, seen=True)
_METHOD_KEYS = ("__func__", "__self__")
_CONTAINERS = frozenset((tuple, list, dict))
_read = object.__getattribute__  # past what the guard does at each access


class DynamicArg:
    """Stands for a dynamic argument of a compiled call while it is encoded."""

    __slots__ = ("number",)

    def __init__(self, number: int):
        self.number = number


Home = tuple[int, tuple | None]
"""The index of the node that a value is below of, and by which keys; None where these
cannot be followed."""


class Encoder:
    """One pass over a graph.

    Args:
        known: objects that have an index already, in index order; met again they are
            references.
        opaque: whether what is neither data nor static by nature (a string among the
            arguments) is kept as a static value, instead of raising.
        reads: whether the values of Variables are read past their checks afterwards;
            else the structure alone is looked at, which is never stale.
        marked_whole: whether numbers in a pytree that is marked as data are leaves,
            as they are to JAX.
    """

    __slots__ = (
        "frame",
        "home",
        "index",
        "leaves",
        "marked_whole",
        "numbers",
        "objects",
        "opaque",
        "pending",
        "plain",
        "reads",
        "statics",
        "trees",
        "variables",
    )

    def __init__(
        self,
        known: list[Any] | None = None,
        opaque: bool = True,
        reads: bool = True,
        marked_whole: bool = False,
    ):
        self.objects: list[Any] = list(known or ())
        self.index = dict(zip(map(id, self.objects), count(), strict=False))
        self.pending: set[int] = set()
        self.variables: list[Variable] = []
        self.numbers: list[int] = []  # the index of each
        self.leaves: list[tuple[Any, Any]] = []
        self.statics: list[Static] = []  # those that can change unseen
        self.plain: dict[int, Home] = {}  # of each plain list or dict, by its index
        self.home: Home | None = None
        self.trees: list[Any] = []  # pytrees of others, which can change unseen
        self.opaque = opaque
        self.reads = reads
        self.marked_whole = marked_whole
        self.frame = context.frame

    def reopen(self) -> None:
        """Lets known objects be described anew at their next visit."""
        self.pending = set(self.index)

    def visit(
        self, value: Any, slot: Any = None, key: Any = None, dynamic: bool = True
    ) -> tuple:
        """The token of a value.

        Args:
            value: anything.
            slot, key: where it stands: `slot[key] is value`.
            dynamic: whether numbers are data, as among arguments, or static, as among
                attributes.
        """
        kind = type(value)
        if issubclass(kind, OBJECTS):
            return self._object(value)
        if value is None or kind is DynamicArg:
            return _NONE if value is None else (ARG, value.number)
        if kind is list or kind is dict:
            found = self._held(value)
            if found is not None:
                return self._object(found)
        if dynamic and kind in _CONTAINERS:
            return self._tree(value, dynamic)
        if is_array(value) or (dynamic and isinstance(value, NUMBERS)):
            self.leaves.append((slot, key))
            return _LEAF
        return self._other(value, slot, key, dynamic)

    def _other(self, value: Any, slot: Any, key: Any, dynamic: bool) -> tuple:
        """The token of what is neither an object nor an array."""
        kind = type(value)
        if isinstance(value, Static):
            return (STATIC, value)
        if kind is MethodType and id(value.__self__) in self.index:
            return self._method(value)
        if not (dynamic or is_data(value) or holds_plain(value)):
            return self._static(value)
        if kind in DATA_TYPES:
            self.leaves.append((slot, key))
            return _LEAF
        return self._tree(value, dynamic)

    def _object(self, obj: Any) -> tuple:
        # By the type: `isinstance` would ask a node for its `__class__`.
        is_variable, frame = issubclass(type(obj), Variable), self.frame
        if (
            frame is None or _read(obj, "_oakum_frame") is not frame
        ):  # else it is at home
            if not is_variable or not self.reads:
                obj = resolve(obj) if active else obj
            elif active or obj._oakum_mark is not ROOT or tracing.value is not EAGER:
                obj = readable(obj)
        ident = id(obj)
        number = self.index.get(ident)
        if number is None:
            number = self.index[ident] = len(self.objects)
            self.objects.append(obj)
        elif ident not in self.pending:
            return (REF, number)
        self.pending.discard(ident)
        if is_variable:
            self.variables.append(obj)
            self.numbers.append(number)
            meta = self._metadata(obj._meta) if obj._meta else _NO_META
            return (VAR, type(obj), number, meta)
        return self._node(obj, number)

    def _node(self, node: Any, number: int) -> tuple:
        slot = type(node)._oakum_slot(node)
        key, children = None, []
        try:
            form = form_of(node, slot)
            later: list[tuple[int, Any]] = []
            for key, kind in form.open:
                child = slot[key]
                if type(child) is MethodType and kind != STATIC_MARK:
                    # Its object may stand in this node, and is to have its own path.
                    later.append((len(children), key))
                    children.append(_NONE)
                    continue
                if kind == STATIC_MARK:
                    children.append(self._static(child))
                elif issubclass(type(child), OBJECTS):
                    children.append(self._object(child))
                else:
                    marked = kind == AS_ARGUMENT
                    children.append(self._attribute(child, slot, key, marked, number))
            for place, key in later:
                children[place] = self.visit(slot[key], slot, key, False)
        except OakumError as error:
            raise _located(error, node, key) from None
        return (NODE, form, number, tuple(children))

    def _held(self, items: Any) -> Held | None:
        """What stands for a plain list or dict; None where that is no part of a node.

        It is noted where it stands.
        """
        if self.home is None:  # a result, or an argument beside its owner
            known = known_held(items)
            visited = known is not None and id(known) in self.index
            return known if visited and id(known) not in self.pending else None
        known = held(items, self.objects[self.home[0]])
        if id(known) not in self.index:
            self.plain[len(self.objects)] = self.home
        return known

    def _attribute(
        self, value: Any, slot: Any, key: Any, marked: bool, number: int
    ) -> tuple:
        """The token of an attribute of a node, which may be marked as data."""
        # The mark is of the value itself: what is no array in a pytree, such as a
        # switch or a function, is static there as elsewhere.
        dynamic = marked and (self.marked_whole or jax.tree_util.all_leaves([value]))
        opaque, self.opaque = self.opaque, self.opaque or marked
        # Where numbers are leaves, a list is a pytree and no part that is observed.
        as_tree = marked and self.marked_whole and _holds_number(value)
        home, self.home = self.home, None if as_tree else (number, (key,))
        try:
            return self.visit(value, slot, key, dynamic)
        finally:
            self.opaque, self.home = opaque, home

    def _method(self, method: Any) -> tuple:
        """A method of an object of this graph, which in a copy is the copy's."""
        owner = (REF, self.index[id(method.__self__)])
        children = (self._static(method.__func__), owner)
        return (TREE, MethodType, None, _METHOD_KEYS, children)

    def _metadata(self, held: dict) -> Static:
        meta = Static(held, seen=True)
        if meta.parts:
            self.statics.append(meta)
        return meta

    def _static(self, value: Any) -> tuple:
        static = Static(value)
        if static.parts:
            self.statics.append(static)
        return (STATIC, static)

    def _tree(self, value: Any, dynamic: bool) -> tuple:
        kind = type(value)
        if kind in (tuple, list):
            keys: Any = tuple(range(len(value)))
            pairs: Any = enumerate(value)
            treedef = None
        elif kind is dict:
            keys, treedef = tuple(value), None
            pairs = value.items()
        elif isinstance(value, tuple) and hasattr(kind, "_fields"):
            keys, treedef = kind._fields, None
            pairs = list(zip(keys, value, strict=True))
            value = dict(pairs)
        else:
            return self._registered(value, dynamic)
        children = self._children(pairs, value, dynamic, kind is not dict)
        return (TREE, kind, treedef, keys, children)

    def _children(
        self, pairs: Any, slot: Any, dynamic: bool, by_index: bool
    ) -> tuple[tuple, ...]:
        """The tokens of what is directly below a pytree, each at home there."""
        home, tokens = self.home, []
        for i, (key, child) in enumerate(pairs):
            if home is not None:
                owner, keys = home
                self.home = owner, (*keys, i) if by_index and keys else None
            tokens.append(self.visit(child, slot, key, dynamic))
        self.home = home
        return tuple(tokens)

    def _registered(self, value: Any, dynamic: bool) -> tuple:
        pairs, treedef = jax.tree_util.tree_flatten_with_path(
            value, is_leaf=lambda x: x is not value
        )
        if len(pairs) == 1 and pairs[0][1] is value:
            if self.opaque:
                return (STATIC, _opaque(value))
            raise ArgumentError(
                f"{type(value).__name__} is not an array, nor a pytree of arrays and "
                f"oakum objects: {value!r:.80}",
                remedy="return arrays, numbers and oakum objects only; pass anything "
                "else as a static argument.",
            )
        self.trees.append(value)
        keys = tuple([tree_key(path[0]) for path, _ in pairs])
        slot = dict(zip(keys, [child for _, child in pairs], strict=True))
        children = self._children(slot.items(), slot, dynamic, False)
        return (TREE, type(value), _static_treedef(treedef), keys, children)


def holds_plain(value: Any) -> bool:
    """Whether a value is a plain list or dict, or a tuple with one in it.

    What holds no state yet may do so later.
    """
    return type(value) in (list, dict) or (
        isinstance(value, tuple) and any(map(holds_plain, value))
    )


def _holds_number(value: Any) -> bool:
    """Whether there is a number in a pytree, which JAX takes as a leaf."""
    if is_array(value):
        return False
    leaves = jax.tree.leaves(value, is_leaf=is_object)
    return any([isinstance(leaf, NUMBERS) for leaf in leaves])


def _static_treedef(treedef: Any) -> Static:
    """What a pytree of others holds beside its children, compared by value."""
    kind, held = treedef.node_data()
    return Static(treedef, key=(kind, static_key(held)))


def _opaque(value: Any) -> Static:
    try:
        return Static(value)
    except OakumError:
        return Static(value, key=("identity", id(value)))


def tree_key(entry: Any) -> Any:
    """The name, index or key that an entry of a JAX key path stands for."""
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            return getattr(entry, name)
    return str(entry)


def _located(error: OakumError, node: Any, key: Any) -> OakumError:
    where = f"attribute {type(own_object(node)).__name__}{path_text((key,))}"
    if error.where.startswith("attribute "):
        where += f", {error.where.removeprefix('attribute ')}"
    return type(error)(error.what, where=where, remedy=error.remedy)


def encode(value: Any, marked_whole: bool = False) -> tuple[GraphDef, Encoder]:
    """The structure of a value, and the pass that found it.

    Raises:
        StaticValueError: a static attribute is an array; names the attribute.
    """
    encoder = Encoder(reads=False, marked_whole=marked_whole)
    # A number within a container belongs to the structure, as among attributes.
    token = encoder.visit(value, dynamic=isinstance(value, NUMBERS))
    return GraphDef(token, bool(encoder.statics)), encoder
