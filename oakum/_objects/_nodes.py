"""Nodes: objects with named children.

A node keeps its children where Python keeps them (`__dict__`, list, dict items), and
beside them the bookkeeping that every node has: the frame and trace it was made in, the
line that made it, and its version. Here is also what values are: arrays, objects, data.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from .._compat import ConcreteArray
from .._guard import context, current_trace, here
from ._declared import NodeMethods
from .variables._variable import Variable

_set = object.__setattr__  # past `__setattr__`, which users override
BOOKKEEPING = (
    "_oakum_form",
    "_oakum_formed",
    "_oakum_frame",
    "_oakum_mark",
    "_oakum_marks",
    "_oakum_origin",
    "_oakum_version",
)
SNAPSHOT = "_oakum_snapshot"  # what is kept for JAX; a node may be without
# `Box[int](...)` of a generic class has Python set this; a node is the same without.
ALIAS = "__orig_class__"


class Node(NodeMethods):
    """What all nodes have in common.

    `_oakum_children` yields (key, child) in canonical order; `_oakum_fill` sets all of
    them at once, without checks, from a dict in the container's order that it may keep.
    """

    __slots__ = ()
    _oakum_form: Any
    _oakum_formed: int
    _oakum_frame: Any
    _oakum_mark: Any
    _oakum_marks: Any
    _oakum_origin: Any
    _oakum_version: int

    def _oakum_children(self) -> Iterable[tuple[Any, Any]]:
        raise NotImplementedError

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        raise NotImplementedError

    def _oakum_slot(self) -> Any:
        """The container that holds the children: `slot[key]` is the child."""
        raise NotImplementedError

    def _oakum_order(self) -> Iterable[Any]:
        """The keys in the order in which the container holds them."""
        return [key for key, _ in self._oakum_children()]


def stamp(node: Any) -> Any:
    """Fills the bookkeeping of a node made here and now."""
    _set(node, "_oakum_frame", context.frame)
    _set(node, "_oakum_mark", current_trace())
    _set(node, "_oakum_origin", here())
    stamp_blank(node)
    return node


def stamp_blank(node: Any) -> None:
    """Fills what does not depend on where a node was made: no edit, no form as yet."""
    _set(node, "_oakum_marks", None)
    _set(node, "_oakum_version", 0)
    _set(node, "_oakum_form", None)
    _set(node, "_oakum_formed", -1)


def is_array(value: Any) -> bool:
    """Whether a value is an array: of JAX, NumPy, abstract, or a tracer.

    A number of NumPy's is a number, as Python's are: configuration where it is an
    attribute, data where it is an argument.
    """
    return type(value) is ConcreteArray or isinstance(value, _ARRAYS)


def is_object(value: Any) -> bool:
    """Whether a value is one of oakum's: a Variable or a node."""
    # Not `isinstance`, which asks a node that is none of these for its `__class__`.
    return issubclass(type(value), OBJECTS)


def is_node(value: Any) -> bool:
    """Whether a value is one of oakum's nodes."""
    return issubclass(type(value), Node)


def is_variable(value: Any) -> bool:
    """Whether a value is a Variable."""
    return issubclass(type(value), Variable)


def is_data(value: Any) -> bool:
    """Whether a value holds state: a Variable, a node, an array, or a pytree of such.

    Args:
        value: anything.

    Returns:
        True where an attribute of this value is data, False where it is static.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> nnx.is_data(jnp.ones(3)), nnx.is_data((3, 3))
        (True, False)
    """
    if issubclass(type(value), OBJECTS) or is_array(value):
        return True
    kind = type(value)  # a class below these is a leaf to JAX, unless registered
    if kind in _SEQUENCES:
        return any(map(is_data, value))
    if kind is dict:
        return any(map(is_data, value.values()))
    if isinstance(value, PLAIN):
        return False
    leaves = jax.tree.leaves(value, is_leaf=is_object)
    if len(leaves) == 1 and leaves[0] is value:
        return type(value) in DATA_TYPES
    return any(map(is_data, leaves))


DATA_TYPES: set[type] = set()
FOREIGN: list[Callable[[Any, bool], None]] = []
"""Checks of what becomes an attribute or item and is of no usual class."""
# Tuples, since a union is made anew each time it is written.
_ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
_SEQUENCES = (tuple, list)
OBJECTS = (Variable, Node)
NUMBERS = (bool, int, float, complex, np.generic)
# Other callables may be registered pytrees, such as the layers of equinox.
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
PLAIN = (*NUMBERS, str, bytes, type, type(None), *_FUNCTIONS)
