"""State: a nested mapping from path to leaf, and its flat form."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from typing import TYPE_CHECKING, Any, overload

from .. import _guard as guard
from .._graph._graphdef import Path
from .._guard import active, context
from .._objects._nodes import ALIAS, BOOKKEEPING, Node, stamp
from .._objects._version import bump
from .._objects.variables._variable import Variable
from .._typing import Filter, K, V
from ..errors import FilterError, StructureError
from ._filters import partition

if TYPE_CHECKING:
    from typing import Self


class State(Node, MutableMapping[K, V]):
    """A nested mapping whose leaves are Variables or arrays.

    Items can be read as attributes. A State is a pytree.

    Args:
        mapping: nested dicts or States, or (path, leaf) pairs.

    Example:
        >>> import oakum as nnx, jax
        >>> state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> sorted(state), state.kernel.shape
        (['bias', 'kernel'], (2, 3))
    """

    __slots__ = ("__weakref__", "_mapping", *BOOKKEEPING)
    _mapping: dict[Any, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return stamp(object.__new__(cls))

    def __init__(
        self,
        mapping: Mapping[K, V] | Iterable[tuple[K, V]] = (),
        *,
        _copy: bool = True,
    ):
        del _copy
        items = mapping.items() if isinstance(mapping, Mapping) else mapping
        content = {k: _nest(v) for k, v in items}
        object.__setattr__(self, "_mapping", content)

    @property
    def raw_mapping(self) -> dict[K, V]:
        """The dict that holds the items."""
        return self._mapping

    def _here(self) -> Self:
        if active and self._oakum_frame is not context.frame:
            return guard.resolve(self)
        return self

    def __getitem__(self, key: K) -> V:
        return self._here()._mapping[key]

    def __setitem__(self, key: K, value: V) -> None:
        self = guard.writable(self)
        self._mapping[key] = _nest(value)
        bump(self)

    def __delitem__(self, key: K) -> None:
        self = guard.writable(self)
        del self._mapping[key]
        bump(self)

    def __iter__(self) -> Iterator[K]:
        return iter(self._here()._mapping)

    def __len__(self) -> int:
        return len(self._here()._mapping)

    def __contains__(self, key: object) -> bool:
        return key in self._here()._mapping

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_mapping":
            raise AttributeError(name)
        key: Any = name
        try:
            return self[key]
        except KeyError:
            raise AttributeError(
                f"State has no item {name!r}; it has: {', '.join(map(str, self))}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        key: Any = name
        if name in BOOKKEEPING:
            object.__setattr__(self, name, value)
        elif name != ALIAS:
            self[key] = value

    def __delattr__(self, name: str) -> None:
        key: Any = name
        del self[key]

    def __or__(self, other: State) -> State:
        return merge_state(self, other)

    def __sub__(self, other: State) -> State:
        drop = dict(flat_items(other))
        return from_flat_state([(p, v) for p, v in flat_items(self) if p not in drop])

    def _oakum_children(self) -> list[tuple[Any, Any]]:
        items = list(self._mapping.items())
        try:
            return sorted(items, key=lambda item: item[0])
        except TypeError:
            return items

    def _oakum_fill(self, content: dict[Any, Any]) -> None:
        object.__setattr__(self, "_mapping", content)

    def _oakum_slot(self) -> Any:
        return self._mapping

    def _oakum_order(self) -> Any:
        return list(self._mapping)

    def flat_state(self) -> FlatState:
        """The (path, leaf) pairs, in canonical order."""
        return to_flat_state(self)

    @classmethod
    def from_flat_path(cls, flat_state: Any) -> State:
        """A State from (path, leaf) pairs or a mapping of them."""
        return from_flat_state(flat_state, cls=cls)

    def to_pure_dict(
        self, extract_fn: Callable[[Any], Any] | None = None
    ) -> dict[Any, Any]:
        """Nested dicts of arrays."""
        return to_pure_dict(self, extract_fn)

    def replace_by_pure_dict(
        self,
        pure_dict: dict[Any, Any],
        replace_fn: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        """Takes over the arrays of nested dicts."""
        replace_by_pure_dict(self, pure_dict, replace_fn)

    def map(self, f: Callable[[Path, Any], Any]) -> State:
        """A State of `f(path, leaf)`."""
        return map_state(f, self)

    @overload
    def filter(self, first: Filter, /) -> State: ...
    @overload
    def filter(
        self, first: Filter, second: Filter, /, *filters: Filter
    ) -> tuple[State, ...]: ...
    def filter(self, first: Any, *filters: Any) -> Any:
        """The part that a filter selects, or one part for each filter."""
        return filter_state(self, first, *filters)

    @overload
    def split(self, first: Filter, /) -> State: ...
    @overload
    def split(
        self, first: Filter, second: Filter, /, *filters: Filter
    ) -> tuple[State, ...]: ...
    def split(self, first: Any, *filters: Any) -> Any:
        """Parts by filter; together they hold every leaf."""
        return split_state(self, first, *filters)

    @staticmethod
    def merge(state: State, *states: State) -> State:
        """One State of all."""
        return merge_state(state, *states)

    def __reduce__(self):
        return type(self), (dict(self._mapping),)

    __hash__ = None  # type: ignore[assignment]


def _nest(value: Any) -> Any:
    return State(value) if isinstance(value, dict) else value


class FlatState(Sequence):
    """The (path, leaf) pairs of a State.

    Args:
        items: the pairs.
        sort: whether to put them in canonical order.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[Path, Any]], *, sort: bool = False):
        pairs = [(tuple(path), leaf) for path, leaf in items]
        self._items = sorted(pairs, key=_sort_key) if sort else pairs

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths."""
        return tuple(path for path, _ in self._items)

    @property
    def leaves(self) -> tuple[Any, ...]:
        """The leaves."""
        return tuple(leaf for _, leaf in self._items)

    def to_nested_state(self) -> State:
        """The State of these pairs."""
        return from_flat_state(self)

    def split(self, first: Any, *filters: Any) -> Any:
        """Parts by filter; together they hold every leaf.

        Raises:
            FilterError: leaves remain that no filter selects.
        """
        groups, rest = partition(self._items, (first, *filters))
        if rest:
            raise remainder_error(rest)
        parts = tuple(FlatState(group) for group in groups)
        return parts if filters else parts[0]

    def filter(self, first: Any, *filters: Any) -> Any:
        """The part that a filter selects, or one part for each filter."""
        groups, _ = partition(self._items, (first, *filters))
        parts = tuple(FlatState(group) for group in groups)
        return parts if filters else parts[0]

    @staticmethod
    def merge(flat_state: Any, *flat_states: Any) -> FlatState:
        """The pairs of all, in canonical order."""
        pairs = [pair for part in (flat_state, *flat_states) for pair in part]
        return FlatState(pairs, sort=True)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FlatState(self._items[index])
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[Path, Any]]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"FlatState({self._items!r})"


def _sort_key(item: tuple[Path, Any]) -> tuple:
    return tuple((isinstance(part, str), part) for part in item[0])


def flat_items(state: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The (path, leaf) pairs of nested mappings, in canonical order."""
    items = state._oakum_children() if isinstance(state, State) else state.items()
    for key, value in items:
        if isinstance(value, Mapping) and not isinstance(value, Variable):
            yield from flat_items(value, (*path, key))
        else:
            yield (*path, key), value


def to_flat_state(state: State) -> FlatState:
    """The (path, leaf) pairs of a State, in canonical order.

    Args:
        state: a State, or nested dicts.
    """
    return FlatState(flat_items(state), sort=True)


_slots = [(getattr(State, name).__set__, name) for name in ("_mapping", *BOOKKEEPING)]


def _nested(pairs: Iterable[tuple[Path, Any]]) -> State | None:
    """The State of pairs, whose levels are made at once; None where a path is odd.

    To make them one by one, as a user does, takes four times as long.
    """
    root = State()
    filled = [(set_slot, getattr(root, name)) for set_slot, name in _slots[1:]]
    set_mapping, last, content = _slots[0][0], (), root._mapping
    for path, leaf in pairs:
        if not path:
            return None
        *above, key = path
        if above != last:
            content = root._mapping
            for step in above:
                below = content.get(step)
                if below is None:
                    below = object.__new__(State)
                    for set_slot, value in filled:
                        set_slot(below, value)
                    set_mapping(below, {})
                    content[step] = below
                elif type(below) is not State:
                    return None
                content = below._mapping
            last = above
        if isinstance(leaf, (dict, State)) or key in content:
            return None
        content[key] = leaf
    return root


@overload
def from_flat_state(flat_state: Any) -> State: ...
@overload
def from_flat_state(flat_state: Any, *, cls: type[V]) -> V: ...
def from_flat_state(flat_state: Any, *, cls: Any = State) -> Any:
    """A State from (path, leaf) pairs.

    Args:
        flat_state: a FlatState, pairs, or a mapping from path to leaf.
        cls: the class to make.
    """
    pairs = flat_state.items() if isinstance(flat_state, Mapping) else list(flat_state)
    if cls is State and (made := _nested(pairs)) is not None:
        return made
    nested: dict = {}
    for path, leaf in pairs:
        level = nested
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = leaf
    return cls(nested)


def to_pure_dict(
    state: State, extract_fn: Callable[[Any], Any] | None = None
) -> dict[Any, Any]:
    """Nested dicts of arrays from a State.

    Args:
        state: a State.
        extract_fn: what to take from a leaf; by default a Variable's array.
    """
    if extract_fn is not None:
        return _pure_dict(state, extract_fn)
    with guard.handing_out():
        return _pure_dict(state, _array)


def _pure_dict(state: State, extract: Callable[[Any], Any]) -> dict[Any, Any]:
    found = {}
    for key, value in state.items():
        if not isinstance(value, State):
            found[key] = extract(value)
        elif below := _pure_dict(value, extract):
            found[key] = below
    return found


def _array(leaf: Any) -> Any:
    return leaf.get_value() if isinstance(leaf, Variable) else leaf


def restore_int_paths(pure_dict: dict[Any, Any]) -> dict[Any, Any]:
    """Turns keys such as `'0'` back into numbers, at every level."""
    if not isinstance(pure_dict, dict):
        return pure_dict
    return {_as_number(k): restore_int_paths(v) for k, v in pure_dict.items()}


def _as_number(key: Any) -> Any:
    try:
        return int(key)
    except (TypeError, ValueError):
        return key


def replace_by_pure_dict(
    state: State,
    pure_dict: dict[Any, Any],
    replace_fn: Callable[[Any, Any], Any] | None = None,
) -> None:
    """Takes over the arrays of nested dicts, in place.

    Args:
        state: the State to change.
        pure_dict: nested dicts of arrays; paths may be a part of the State's, and
            numbers in them may be text, as some checkpoint formats have them.
        replace_fn: what to make of an old leaf and a new array.

    Raises:
        StructureError: a path that the State does not have; nothing was changed.
    """
    known = dict(flat_items(state))
    new = {}
    for path, value in flat_items(pure_dict):
        numbered = tuple(_as_number(part) for part in path)
        new[path if path in known or numbered not in known else numbered] = value
    unknown = [path for path in new if path not in known]
    if unknown:
        raise StructureError(
            "Paths that the State does not have: " + ", ".join(map(_dotted, unknown)),
            remedy=f"it has: {', '.join(map(_dotted, known))}",
        )
    for path, value in new.items():
        old = known[path]
        if replace_fn is not None:
            value = replace_fn(old, value)
        elif isinstance(old, Variable):
            value = old.replace(value)
        level: Any = state
        for key in path[:-1]:
            level = level[key]
        level[path[-1]] = value


def _dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the root"


def map_state(f: Callable[[Path, Any], Any], state: State) -> State:
    """A State of `f(path, leaf)`."""
    return from_flat_state([(p, f(p, v)) for p, v in flat_items(state)])


@overload
def merge_state(state: Mapping[Any, Any], *states: Mapping[Any, Any]) -> State: ...
@overload
def merge_state(
    state: Mapping[Any, Any], *states: Mapping[Any, Any], cls: type[V]
) -> V: ...
def merge_state(state: Any, *states: Any, cls: Any = State) -> Any:
    """One State of all; a later one wins where two have a path."""
    merged: dict = {}
    for part in (state, *states):
        merged.update(flat_items(part))
    return from_flat_state(merged, cls=cls)


@overload
def filter_state(state: Mapping[Any, Any], first: Filter, /) -> State: ...
@overload
def filter_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, /
) -> tuple[State, State]: ...
@overload
def filter_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, third: Filter, /
) -> tuple[State, State, State]: ...
@overload
def filter_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def filter_state(state: Any, first: Any, *filters: Any) -> Any:
    """The part of a State that a filter selects, or one part for each filter."""
    groups, _ = partition(list(flat_items(state)), (first, *filters))
    parts = tuple(from_flat_state(group) for group in groups)
    return parts if filters else parts[0]


@overload
def split_state(state: Mapping[Any, Any], first: Filter, /) -> State: ...
@overload
def split_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, /
) -> tuple[State, State]: ...
@overload
def split_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, third: Filter, /
) -> tuple[State, State, State]: ...
@overload
def split_state(
    state: Mapping[Any, Any], first: Filter, second: Filter, /, *filters: Filter
) -> tuple[State, ...]: ...
def split_state(state: Any, first: Any, *filters: Any) -> Any:
    """Parts of a State by filter.

    Raises:
        FilterError: leaves remain that no filter selects.
    """
    groups, rest = partition(list(flat_items(state)), (first, *filters))
    if rest:
        raise remainder_error(rest)
    parts = tuple(from_flat_state(group) for group in groups)
    return parts if filters else parts[0]


def remainder_error(rest: list[tuple[Path, Any]]) -> FilterError:
    """The error for leaves that no filter selected."""
    shown = ", ".join(f"{_dotted(p)} ({type(v).__name__})" for p, v in rest[:5])
    more = f" and {len(rest) - 5} more" if len(rest) > 5 else ""
    return FilterError(
        f"The filters leave a remainder: {shown}{more}",
        remedy="add `...` as the last filter to take all that is left.",
    )
