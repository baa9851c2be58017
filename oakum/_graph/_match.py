"""Match: whether objects still are, or also are, what a token says.

To take a graph apart anew costs some 2 µs for each node and Variable. Where a token of
the same structure is at hand, it is enough to compare: the Form of each node, and which
object stands where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MethodType
from typing import Any

from .._compat import ConcreteArray
from .._objects._plain import held, own_object
from .._statics._static import Static
from ._form import fits, form_of
from ._graphdef import ARG, LEAF, NODE, REF, STATIC, TREE, VAR

_read = object.__getattribute__  # past what the guard does at each access


def object_tokens(token: Any) -> Iterator[tuple]:
    """The tokens of nodes and Variables, in canonical order."""
    tag = token[0]
    if tag == VAR:
        yield token
    elif tag == NODE:
        yield token
        for child in token[3]:
            yield from object_tokens(child)
    elif tag == TREE:
        for child in token[4]:
            yield from object_tokens(child)


def of_classes_now(token: Any) -> bool:
    """Whether the classes of all nodes are as they were when they were described."""
    return all([t[1].of_class_now() for t in object_tokens(token) if t[0] == NODE])


def holds(token: Any, obj: Any, objects: Sequence[Any]) -> bool:
    """Whether an edited node or Variable is again what its token says.

    Args:
        token: its token.
        obj: the node or Variable.
        objects: all objects by index; whether those below are as before is not asked.
    """
    if token[0] == VAR:
        meta = token[3]
        if type(obj) is not token[1]:
            return False
        if not obj._meta and not meta.value:
            return True
        return bool(Static(obj._meta, seen=True) == meta)
    _, form, _, children = token
    version = _read(obj, "_oakum_version")
    slot = type(obj)._oakum_slot(obj)
    try:
        for key, child in zip(form.open_keys, children, strict=True):
            if not _stands(child, slot[key], objects):
                return False
    except (LookupError, RuntimeError):
        return False
    return fits(form, obj, slot, version)


def _stands(token: Any, value: Any, objects: Sequence[Any]) -> bool:
    """Whether a value is the very one that a token was made of."""
    tag = token[0]
    if tag in (NODE, VAR):
        return value is own_object(objects[token[2]])
    if tag == REF:
        return value is own_object(objects[token[1]])
    if tag == LEAF:
        return type(value) is ConcreteArray
    if tag == STATIC:
        return value is token[1].value
    if tag != TREE or token[1] is MethodType or not issubclass(token[1], tuple):
        return False
    if type(value) is not token[1] or len(value) != len(token[4]):
        return False
    pairs = zip(token[4], value, strict=True)
    # Whoever reads a bare array in a tuple has that very tuple.
    return all([t[0] != LEAF and _stands(t, v, objects) for t, v in pairs])


def alike(token: Any, value: Any, objects: list[Any]) -> bool:
    """Whether a value has the structure that a token describes.

    It errs on one side: where that cannot be told at once, such as of bare arrays and
    of configuration that can change unseen, it says no.

    Args:
        token: the structure of another value.
        value: the value.
        objects: takes the nodes and Variables by index. The caller is to see that each
            is another one, and that the metadata agrees.
    """
    tag = token[0]
    if tag == NODE:
        return _node_alike(token, value, objects)
    if tag == VAR:
        objects[token[2]] = value
        return type(value) is token[1]
    if tag == REF:
        return value is own_object(objects[token[1]])
    if tag == STATIC:
        return _static_alike(token[1], value)
    if tag != TREE or token[1] is MethodType or not issubclass(token[1], tuple):
        return tag == ARG
    if type(value) is not token[1] or len(value) != len(token[4]):
        return False
    return all([alike(t, v, objects) for t, v in zip(token[4], value, strict=True)])


def _node_alike(token: Any, node: Any, objects: list[Any]) -> bool:
    _, form, number, children = token
    if type(node) is not form.cls:
        return False
    if form.cls is list or form.cls is dict:
        node = held(node)
    slot = type(node)._oakum_slot(node)
    if form_of(node, slot) is not form:
        return False
    objects[number] = node
    for key, child in zip(form.open_keys, children, strict=True):
        below = slot[key]
        if child[0] == VAR:
            if type(below) is not child[1]:
                return False
            objects[child[2]] = below
        elif not alike(child, below, objects):
            return False
    return True


def _static_alike(static: Static, value: Any) -> bool:
    if static.parts:
        return False
    if value is static.value:
        return True
    return type(value) is type(static.value) and Static(value) == static
