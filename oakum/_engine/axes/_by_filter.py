"""A value for each part of an object's state, chosen by filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from ..._graph import tree_key
from ..._objects import is_object, is_variable
from ..._state import PathIn, State, flat_items, to_predicate
from ...errors import FilterError


class ByFilter:
    """What `StateAxes` and `StateSharding` have in common.

    Args:
        pairs: a mapping from filter to value, or (filter, value) pairs; the first
            filter that selects a Variable decides. Or a State of values, each for the
            Variable at its path.
    """

    def __init__(self, pairs: Any):
        if isinstance(pairs, State):
            pairs = [(PathIn(path), value) for path, value in flat_items(pairs)]
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        self._pairs = tuple([(filter, value) for filter, value in items])

    @property
    def filters(self) -> tuple[Any, ...]:
        """The filters."""
        return tuple(filter for filter, _ in self._pairs)

    @property
    def chosen(self) -> tuple[Any, ...]:
        """What each filter stands for."""
        return tuple(value for _, value in self._pairs)

    def select(self, path: Any, leaf: Any) -> Any:
        """The value for a leaf.

        Raises:
            FilterError: no filter selects it.
        """
        for filter, value in self._pairs:
            if to_predicate(filter)(path, leaf):
                return value
        raise FilterError(
            f"{type(self).__name__} has no filter for {'.'.join(map(str, path))} "
            f"({type(leaf).__name__})",
            remedy="add `...: None` as its last filter.",
        )

    map_prefix = select

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._pairs == other._pairs  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self._pairs)!r})"


def by_path(prefix: Any, cls: type[ByFilter]) -> Any:
    """Axes, or shardings, where each object of these is one value for each path.

    Args:
        prefix: a pytree of them, such as `nnx.prefix` gives: a model or a State with
            an axis in the place of each Variable and array.
        cls: what is to stand for such an object, `StateAxes` or `StateSharding`.
    """

    def plain(part: Any) -> Any:
        if not is_object(part):
            return part
        groups: dict[Any, list[tuple]] = {}
        pairs, _ = jax.tree_util.tree_flatten_with_path(part, is_leaf=_is_value)
        for keys, value in pairs:
            inside = is_variable(value)
            value = value.get_raw_value() if inside else value
            groups.setdefault(value, []).append(tuple(map(tree_key, keys)))
        return cls([(PathIn(*paths), value) for value, paths in groups.items()])

    return jax.tree.map(plain, prefix, is_leaf=lambda x: x is None or is_object(x))


def _is_value(part: Any) -> bool:
    return part is None or is_variable(part)
