"""The axes of a pytree of arrays and objects, as a transform is told them.

Arrays are taken out of the arguments and numbered, so that each has its axis beside it;
Variables get theirs by identity, bare arrays inside of objects by their path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax

from ..._graph import (
    LEAF,
    NODE,
    REF,
    TREE,
    VAR,
    DynamicArg,
    leaf_tokens,
    leaves,
    tree_key,
)
from ..._guard import context, resolve
from ..._objects import is_array, is_object
from ..._repr import path_text
from ...errors import ArgumentError, ArgumentValueError
from .._lift import Flat, argument_path
from ._by_filter import ByFilter

MISSING: Any = object()
_CONTAINERS = (tuple, list, dict)


class Made(NamedTuple):
    """A Variable that a run put into an argument.

    Attributes:
        name: what messages call it.
        axis: that of its place.
        variable: one of its type.
    """

    name: str
    axis: Any
    variable: Any

    def check_axis(self, name: str, axis: Any) -> None:
        """Checks that it has the same axis elsewhere.

        Raises:
            ArgumentValueError: it has another.
        """
        if axis != self.axis:
            raise _conflict(self.name, name, self.variable, self.axis, axis)


class Axes:
    """The axes of a pytree of arrays and objects.

    Attributes:
        arrays: the arrays (and pytrees without objects) that were taken out, in order.
        array_axes: the axis of each.
        names: what messages call each.
        by_variable: the axis of each Variable, by identity.

    Args:
        whole: the axis, or what stands for it, of what is not taken apart.
    """

    def __init__(self, whole: Any = None) -> None:
        self.whole = whole
        self.clear()

    def clear(self) -> None:
        """Forgets all that was taken."""
        self.arrays: list[Any] = []
        self.array_axes: list[Any] = []
        self.names: list[str] = []
        self.by_variable: dict[int, Any] = {}
        self._roots: list[tuple[str, Any, Any]] = []  # name, object and axis
        self._places: list[tuple[tuple, Any]] = []  # path of each of these, and axis

    def release(self) -> list[Any]:
        """The arrays. Only the axes of what was taken are known from now on."""
        arrays, self.arrays, self._roots = self.arrays, [], []
        return arrays

    def of_arguments(
        self, axes: Any, args: tuple, keywords: Any = None, kwargs: Any = None
    ) -> Flat:
        """Arguments `(args, kwargs)`, taken apart; what is dynamic in them is here.

        Args:
            axes: of the positional arguments, one each, or one for all.
            args: arrays, objects, and pytrees of these.
            keywords: the axis of each keyword argument.
            kwargs: the keyword arguments.

        Raises:
            ArgumentError: a Variable gets two axes, or the axes do not fit.
        """
        kwargs = kwargs or {}
        prefix = tuple(axes) if isinstance(axes, tuple | list) else (axes,) * len(args)
        taken = self._take(prefix, args, "args", (0,))
        named = self._take(dict.fromkeys(kwargs, keywords), kwargs, "kwargs", (1,))
        flat = Flat.of((taken, named))
        axis = self._roots[0][2] if self._roots else None
        alike = all([other == axis for _, _, other in self._roots])
        if alike and not isinstance(axis, ByFilter):
            self._assign([(v, axis) for v in flat.variables])  # no further walk
        else:
            self._assign_each()
        return flat

    def of_result(self, axes: Any, result: Any) -> Any:
        """A result with numbered places for its arrays, which are here.

        Raises:
            ArgumentError: a Variable gets two axes, or the axes do not fit.
        """
        taken = self._take(axes, result, "result", ())
        self._assign_each()
        return taken

    def of_bare(self, token: Any, values: list[Any]) -> list[Any]:
        """The axis of each bare array inside of the objects.

        Args:
            token: the structure of the arguments, or of the result.
            values: the bare arrays in canonical order.
        """
        if not values:
            return []
        paths = [path for path, one in leaf_tokens(token) if one[0] == LEAF]
        return [self._axis_at(p, x) for p, x in zip(paths, values, strict=True)]

    def of_new(self, token: Any, n_known: int) -> dict[int, Made]:
        """The Variables that a run put into arguments, by their index.

        Args:
            token: the structure of the arguments after the run.
            n_known: number of objects there were before.

        Raises:
            ArgumentValueError: one was put where there are two axes.
        """
        found: dict[int, Made] = {}
        for path, one in _places_of_new(token, n_known, (), {}):
            likeness = one[1].from_metadata(None, one[3].value)
            name, axis = argument_path(path), self._axis_at(path, likeness)
            made = found.setdefault(one[2], Made(name, axis, likeness))
            made.check_axis(name, axis)
        return found

    def check_same_as(self, given: Axes) -> None:
        """Checks that a result has a Variable of the arguments where these had it.

        Args:
            given: the axes of the arguments.

        Raises:
            ArgumentValueError: it has another axis there.
        """
        if context.frame is None or not self.by_variable:
            return
        for ident, twin in context.frame.twins.items():
            axis = given.by_variable.get(ident, MISSING)
            known = self.by_variable.get(id(twin), axis)
            if axis is not MISSING and known != axis:
                raise _conflict(self.path(twin), given.path(twin), twin, known, axis)

    def _axis_at(self, path: tuple, value: Any) -> Any:
        for root, axis in self._places:
            if path[: len(root)] == root:
                below = path[len(root) :]
                return axis.select(below, value) if isinstance(axis, ByFilter) else axis
        return self.whole

    def _take(self, prefix: Any, value: Any, name: str, path: tuple) -> Any:
        """Takes the arrays out of a value; numbered places stand for them."""
        if is_object(value):
            self._roots.append((name, value, prefix))
            self._places.append((path, prefix))
            return value
        if not isinstance(prefix, _CONTAINERS) and not _has_object(value):
            return self._take_array(prefix, value, name)
        if isinstance(value, Mapping):
            make: Any = type(value)
            return make(
                {
                    k: self._take(
                        _below(prefix, k, name), v, f"{name}[{k!r}]", (*path, k)
                    )
                    for k, v in value.items()
                }
            )
        if isinstance(value, tuple | list):
            return self._take_row(prefix, value, name, path)
        pairs, treedef = jax.tree_util.tree_flatten_with_path(value, is_leaf=is_object)
        if any(item is value for _, item in pairs):
            raise ArgumentError(
                f"{name} is one array, but its axes are {prefix!r}",
                remedy="give one axis, or the value the form of the axes.",
            )
        items = [
            self._take(prefix, v, f"{name}[{i}]", (*path, *map(tree_key, keys)))
            for i, (keys, v) in enumerate(pairs)
        ]
        return jax.tree.unflatten(treedef, items)

    def _take_array(self, prefix: Any, value: Any, name: str) -> DynamicArg:
        if isinstance(prefix, ByFilter):
            raise ArgumentError(
                f"{name} holds no object, but has {prefix!r} for its axes",
                remedy="give an int or None for arrays.",
            )
        self.arrays.append(value)
        self.array_axes.append(prefix)
        self.names.append(name)
        return DynamicArg(len(self.arrays) - 1)

    def _take_row(self, prefix: Any, value: Any, name: str, path: tuple) -> Any:
        """The same of a tuple or list, item by item."""
        if isinstance(prefix, tuple | list) and len(prefix) != len(value):
            raise ArgumentValueError(
                f"{name} has {len(value)} items, its axes have {len(prefix)}",
                remedy="give one axis for each, or one for all.",
            )
        keys = getattr(value, "_fields", range(len(value)))
        items = [
            self._take(_below(prefix, i, name), item, f"{name}[{i}]", (*path, key))
            for i, (key, item) in enumerate(zip(keys, value, strict=True))
        ]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)

    def _assign_each(self) -> None:
        """Gives what is below each object the axis that the object has."""
        for _, value, axis in self._roots:
            if isinstance(axis, ByFilter):
                pairs = [
                    (leaf, axis.select(path, leaf)) for path, leaf in leaves(value)
                ]
                found = [(resolve(x), one) for x, one in pairs if is_object(x)]
            else:
                found = [(v, axis) for v in Flat.of(value).variables]
            self._assign(found)

    def _assign(self, found: list[tuple[Any, Any]]) -> None:
        for leaf, axis in found:
            known = self.by_variable.setdefault(id(leaf), axis)
            if known != axis:
                paths = self._paths(leaf)
                raise _conflict(paths[0], paths[-1], leaf, known, axis)

    def path(self, variable: Any) -> str:
        """How the arguments name a Variable; for messages, as it looks for it."""
        return next(iter(self._paths(variable)), type(variable).__name__)

    def _paths(self, wanted: Any) -> list[str]:
        wanted = resolve(wanted) if is_object(wanted) else wanted
        return [
            name + path_text(path)
            for name, root, _ in self._roots
            for path, leaf in leaves(root)
            if leaf is wanted or (is_object(leaf) and resolve(leaf) is wanted)
        ]


def _places_of_new(
    token: Any, n_known: int, path: tuple, met: dict[int, Any]
) -> Iterator[tuple[tuple, Any]]:
    """Path and token of each Variable that is new, wherever it is met.

    Args:
        token: the structure.
        n_known: number of objects that are not new.
        path: where it stands.
        met: what is new and was met before, by its index.
    """
    tag = token[0]
    if tag == REF:
        token = met.get(token[1], token)
        tag = token[0]
    if tag == VAR and token[2] >= n_known:
        yield path, token
    elif tag == NODE:
        for (key, _), child in zip(token[1].open, token[3], strict=True):
            yield from _places_of_new(child, n_known, (*path, key), met)
    elif tag == TREE:
        for key, child in zip(token[3], token[4], strict=True):
            yield from _places_of_new(child, n_known, (*path, key), met)
    if tag in (VAR, NODE) and token[2] >= n_known:
        met[token[2]] = token  # not before, as a child may refer to it


def _conflict(
    one: str, other: str, variable: Any, known: Any, axis: Any
) -> ArgumentValueError:
    return ArgumentValueError(
        f"{one} and {other} are one {type(variable).__name__}, but have axes {known} "
        f"and {axis}",
        remedy="give a shared Variable the same axis everywhere.",
    )


def _has_object(value: Any) -> bool:
    if is_array(value):
        return False
    return any(map(is_object, jax.tree.leaves(value, is_leaf=is_object)))


def _below(prefix: Any, key: Any, name: str) -> Any:
    if isinstance(prefix, Mapping | tuple | list):
        try:
            return prefix[key]
        except (KeyError, IndexError):
            raise ArgumentError(
                f"The axes of {name} have nothing for {key!r}",
                remedy="give the axes the form of the value, or one axis for all.",
            ) from None
    return prefix
