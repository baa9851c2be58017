"""Filters: which leaves of a graph are meant.

A filter is a Variable type, a tag, `...` for all, None for none, a function of path and
value, a collection of filters (any of them), or one of the classes below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any as AnyType

from .._graph._graphdef import Path
from .._typing import Filter
from ..errors import FilterError

Predicate = Callable[[Path, AnyType], bool]


def to_predicate(filter: AnyType) -> Predicate:
    """A function of (path, value) for any filter.

    Raises:
        FilterError: the value is no filter.
    """
    if isinstance(filter, type):
        return OfType(filter)
    if isinstance(filter, str):
        return WithTag(filter)
    if filter is ... or filter is True:
        return Everything()
    if filter is None or filter is False:
        return Nothing()
    if callable(filter):
        predicate: AnyType = filter
        return predicate
    if isinstance(filter, list | tuple | set | frozenset):
        return Any(*filter)
    raise FilterError(
        f"Not a filter: {filter!r}",
        remedy="use a Variable type such as nnx.Param, nnx.PathContains('bias'), a "
        "function of (path, value), ... for all, or a tuple of these.",
    )


def filters_to_predicates(filters: Iterable[AnyType]) -> tuple[Predicate, ...]:
    """A function of (path, value) for each filter.

    Raises:
        FilterError: one is no filter, or `...` stands before another, which it starves.
    """
    filters = tuple(filters)
    _check_order(filters)
    return tuple([to_predicate(filter) for filter in filters])


def filter_name(filter: AnyType) -> str:
    """A filter as messages show it."""
    return "..." if filter is ... else getattr(filter, "__name__", repr(filter))


class _Filter:
    """Compares by type and arguments, and shows them."""

    def __init__(self, *args: AnyType):
        self.args = args

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == getattr(other, "args", None)

    def __hash__(self) -> int:
        return hash((type(self), self.args))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.args))})"


class OfType(_Filter):
    """Selects values of a type, or Variables of it.

    Args:
        type: a Variable type, or any class.
    """

    def __init__(self, type: type):
        super().__init__(type)

    @property
    def type(self) -> AnyType:
        """The type that is selected."""
        return self.args[0]

    def __call__(self, path: Path, value: AnyType) -> bool:
        return isinstance(value, self.args[0])


class WithTag(_Filter):
    """Selects Variables and nodes that have this `tag`."""

    def __init__(self, tag: str):
        super().__init__(tag)
        self.tag = tag

    def __call__(self, path: Path, value: AnyType) -> bool:
        meta = getattr(value, "_meta", None)
        tag = meta.get("tag") if meta else getattr(value, "__dict__", {}).get("tag")
        return tag is not None and tag == self.args[0]


class PathContains(_Filter):
    """Selects by a part of the path.

    Args:
        key: a name or index that the path contains.
        exact: False matches a name that only contains `key`.

    Example:
        >>> import oakum as nnx
        >>> nnx.PathContains('bias')(('layers', 0, 'bias'), None)
        True
    """

    def __init__(self, key: AnyType, exact: bool = True):
        super().__init__(key, exact)
        self.key, self.exact = key, exact

    def __repr__(self) -> str:
        return f"PathContains({self.args[0]!r}, exact={self.args[1]!r})"

    def __call__(self, path: Path, value: AnyType) -> bool:
        key, exact = self.args
        return key in path if exact else any(str(key) in str(part) for part in path)


class PathIn(_Filter):
    """Selects the leaves with exactly these paths."""

    def __call__(self, path: Path, value: AnyType) -> bool:
        return path in self.args


class _OfSeveral(_Filter):
    def __init__(self, *filters: Filter):
        super().__init__(*filters)
        self.predicates = tuple(map(to_predicate, filters))


class Any(_OfSeveral):
    """Selects what one of the filters selects."""

    def __call__(self, path: Path, value: AnyType) -> bool:
        return any(p(path, value) for p in self.predicates)


class All(_OfSeveral):
    """Selects what all of the filters select."""

    def __call__(self, path: Path, value: AnyType) -> bool:
        return all(p(path, value) for p in self.predicates)


class Not(_Filter):
    """Selects what a filter does not select."""

    def __init__(self, collection_filter: Filter):
        super().__init__(collection_filter)
        self.predicate = to_predicate(collection_filter)

    def __call__(self, path: Path, value: AnyType) -> bool:
        return not self.predicate(path, value)


class Everything(_Filter):
    """Selects all."""

    def __call__(self, path: Path, value: AnyType) -> bool:
        return True


class Nothing(_Filter):
    """Selects nothing."""

    def __call__(self, path: Path, value: AnyType) -> bool:
        return False


def partition(
    flat: list[tuple[Path, AnyType]], filters: tuple[AnyType, ...]
) -> tuple[list[list[tuple[Path, AnyType]]], list[tuple[Path, AnyType]]]:
    """Sorts leaves to the first filter that selects them.

    Returns:
        One list for each filter, and the remainder.

    Raises:
        FilterError: `...` stands before another filter, which it would starve.
    """
    predicates = filters_to_predicates(filters)
    if filters == (...,):
        return [list(flat)], []
    groups: list[list] = [[] for _ in filters]
    if len(filters) == 1 and isinstance(filters[0], type):
        of_type = filters[0]
        groups = [[pair for pair in flat if isinstance(pair[1], of_type)]]
        if len(groups[0]) == len(flat):
            return groups, []
        return groups, [pair for pair in flat if not isinstance(pair[1], of_type)]
    rest = []
    for path, value in flat:
        for predicate, group in zip(predicates, groups, strict=True):
            if predicate(path, value):
                group.append((path, value))
                break
        else:
            rest.append((path, value))
    return groups, rest


def _check_order(filters: tuple[AnyType, ...]) -> None:
    for i, filter in enumerate(filters[:-1]):
        if filter is ... or filter is True:
            later = [f for f in filters[i + 1 :] if f is not ... and f is not True]
            if later:
                raise FilterError(
                    f"`...` selects all, so that {later[0]!r} after it selects nothing",
                    remedy="put `...` last.",
                )


def select_each(
    places: Iterable[tuple[Path, AnyType]],
    filters: tuple[AnyType, ...],
    empty: Callable[[str], FilterError],
) -> list[AnyType]:
    """The values that one of the filters selects by one of their paths, each once.

    Args:
        places: values with their paths, a shared one with each of its paths.
        filters: the filters; all values where there are none.
        empty: makes the error for a filter, by its name, that selects nothing.
    """
    places = list(places)
    chosen: dict[int, AnyType] = {}
    for filter in filters or (...,):
        predicate = to_predicate(filter)
        hits = {id(value): value for path, value in places if predicate(path, value)}
        if not hits:
            raise empty(filter_name(filter))
        chosen |= hits
    return list(chosen.values())
