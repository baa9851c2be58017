"""Nested mappings as flat ones, and back: `nnx.traversals`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import ArgumentError


class _EmptyNode:
    """Stands for an empty mapping in a flat one."""

    def __repr__(self) -> str:
        return "empty_node"


empty_node = _EmptyNode()


def flatten_mapping(
    xs: Mapping[Any, Any],
    /,
    *,
    keep_empty_nodes: bool = False,
    is_leaf: Callable[[tuple, Mapping], bool] | None = None,
    sep: str | None = None,
) -> dict[Any, Any]:
    """A nested mapping as a flat one, with paths for keys.

    Args:
        xs: the nested mapping.
        keep_empty_nodes: whether an empty mapping is kept, as `empty_node`.
        is_leaf: says of a path and a mapping whether to leave it as it is.
        sep: what to join the keys of a path with; by default paths are tuples.

    Raises:
        ArgumentError: it is no mapping.

    Example:
        >>> import oakum as nnx
        >>> nnx.traversals.flatten_mapping({'a': 1, 'b': {'c': 2}}, sep='.')
        {'a': 1, 'b.c': 2}
    """
    pairs = _walk(xs, (), is_leaf, keep_empty_nodes)
    return {path if sep is None else sep.join(path): value for path, value in pairs}


def flatten_to_sequence(
    xs: Mapping[Any, Any],
    /,
    *,
    is_leaf: Callable[[tuple, Mapping], bool] | None = None,
) -> list[tuple[tuple, Any]]:
    """A nested mapping as (path, value) pairs.

    Args:
        xs: the nested mapping.
        is_leaf: says of a path and a mapping whether to leave it as it is.

    Example:
        >>> import oakum as nnx
        >>> nnx.traversals.flatten_to_sequence({'a': 1, 'b': {'c': 2}})
        [(('a',), 1), (('b', 'c'), 2)]
    """
    return list(_walk(xs, (), is_leaf, False))


def unflatten_mapping(xs: Any, /, *, sep: str | None = None) -> dict[Any, Any]:
    """A nested dict, from a flat mapping or from (path, value) pairs.

    Args:
        xs: what `flatten_mapping` or `flatten_to_sequence` returned.
        sep: what the keys of a path are joined with.

    Raises:
        ArgumentError: it is neither.

    Example:
        >>> import oakum as nnx
        >>> nnx.traversals.unflatten_mapping({('a',): 1, ('b', 'c'): 2})
        {'a': 1, 'b': {'c': 2}}
    """
    pairs = xs.items() if isinstance(xs, Mapping) else xs
    if not isinstance(pairs, Iterable):
        raise ArgumentError(
            f"Expected a mapping or (path, value) pairs, got {type(xs).__name__}",
            remedy="pass what flatten_mapping returned.",
        )
    nested: dict[Any, Any] = {}
    for path, value in pairs:
        *parents, last = path if sep is None else path.split(sep)
        below = nested
        for key in parents:
            below = below.setdefault(key, {})
        below[last] = {} if value is empty_node else value
    return nested


def _walk(
    xs: Any, path: tuple, is_leaf: Callable | None, keep_empty: bool
) -> Iterable[tuple[tuple, Any]]:
    if not path and not isinstance(xs, Mapping):
        raise ArgumentError(
            f"Expected a mapping, got {type(xs).__name__}", remedy="pass a dict."
        )
    if not isinstance(xs, Mapping) or (is_leaf is not None and is_leaf(path, xs)):
        yield path, xs
    elif not xs and keep_empty and path:
        yield path, empty_node
    else:
        for key, value in xs.items():
            yield from _walk(value, (*path, key), is_leaf, keep_empty)
