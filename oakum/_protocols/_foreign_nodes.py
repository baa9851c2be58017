"""Classes of others that are registered as nodes by functions that take them apart.

Such an object becomes a pytree of JAX. Variables and modules inside of it are the very
ones, shared and updated in place as everywhere; the object itself is a value, which a
transform gives back as a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax

from ..errors import ArgumentValueError

Pairs = Iterable[tuple[Any, Any]]
_registered: set[type] = set()


def register_graph_node_type(
    type: type,
    flatten: Callable[[Any], tuple[Pairs, Any]],
    set_key: Callable[[Any, Any, Any], None],
    pop_key: Callable[[Any, Any], Any],
    create_empty: Callable[[Any], Any],
    clear: Callable[[Any], None],
    init: Callable[[Any, Pairs], None],
) -> None:
    """Makes a class a node, whose children are data.

    Args:
        type: the class.
        flatten: gives (key, child) pairs and metadata, which is hashable.
        set_key, pop_key, clear: change the object; they are not needed here.
        create_empty: an object of the metadata, without children.
        init: gives an empty object its children.

    Raises:
        ArgumentValueError: the class is registered already.
    """

    def unflatten(pairs: Pairs, metadata: Any) -> Any:
        node = create_empty(metadata)
        init(node, pairs)
        return node

    register_pytree_node_type(type, flatten, unflatten)


def register_pytree_node_type(
    type: type,
    flatten: Callable[[Any], tuple[Pairs, Any]],
    unflatten: Callable[[Pairs, Any], Any],
    *,
    set_key: Callable[[Any, Any, Any], None] | None = None,
    pop_key: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Makes a class a pytree, whose children have keys.

    Args:
        type: the class.
        flatten: gives (key, child) pairs and metadata, which is hashable.
        unflatten: an object of the pairs and the metadata.
        set_key, pop_key: change the object; they are not needed here.

    Raises:
        ArgumentValueError: the class is registered already.
    """
    if type in _registered:
        raise ArgumentValueError(
            f"{type.__name__} is registered as a node already",
            remedy="register each class once, beside its definition.",
        )

    def with_keys(node: Any) -> tuple[list, Any]:
        pairs, metadata = flatten(node)
        pairs = list(pairs)
        entries = [(_entry(key), child) for key, child in pairs]
        return entries, (tuple([key for key, _ in pairs]), metadata)

    def from_children(held: Any, children: Iterable[Any]) -> Any:
        keys, metadata = held
        return unflatten(list(zip(keys, children, strict=True)), metadata)

    jax.tree_util.register_pytree_with_keys(type, with_keys, from_children)
    _registered.add(type)


def _entry(key: Any) -> Any:
    named = isinstance(key, str)
    return jax.tree_util.GetAttrKey(key) if named else jax.tree_util.DictKey(key)
