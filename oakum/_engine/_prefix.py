"""Axes and filters for arguments and results: what `in_axes` and `out_axes` say.

An axis specification is a prefix of the arguments: an int, None, `Carry` or a
`StateAxes` stands for all that is below it. Arrays are taken out of the arguments and
numbered, so that each has its axis beside it; Variables get theirs by identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from .._graph import DynamicArg, leaves, tree_key
from .._guard import resolve
from .._objects import Node, Variable, is_array, is_object
from .._repr import path_text
from .._state import PathIn
from ..errors import ArgumentError
from ._by_filter import ByFilter
from ._lift import Flat


class Carry:
    """In `in_axes` and `out_axes` of `scan`: what one step hands to the next."""


class StateAxes(ByFilter):
    """An axis for the state of an object, by filter.

    Args:
        filter_axes: a mapping from filter to axis, or (filter, axis) pairs; the first
            filter that selects a Variable decides.

    Example:
        >>> import oakum as nnx
        >>> nnx.StateAxes({nnx.Param: 0, ...: None}).axes
        (0, None)
    """

    def __init__(self, filter_axes: Any):
        super().__init__(filter_axes)

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes."""
        return self.values


def prefix(node: Any, filter_map: Any) -> Any:
    """Axes for the arguments of a transform, chosen leaf by leaf.

    Args:
        node: an object, or a pytree of objects and arrays.
        filter_map: a mapping from filter to axis, of which the first that selects a
            leaf decides; or a function of path and leaf. Axes are hashable.

    Returns:
        What `in_axes` and `out_axes` take: a pytree of the form of `node`, with an axis
        in place of each Variable and array, and a `StateAxes` in place of each object.

    Raises:
        ArgumentError: no filter selects a leaf.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> given = {'scale': nnx.Param(jnp.array(2.0)), 'x': jnp.arange(3.0)}
        >>> axes = nnx.prefix(given, {nnx.Param: None, ...: 0})
        >>> nnx.vmap(lambda d: d['scale'] * d['x'], in_axes=(axes,))(given).tolist()
        [0.0, 2.0, 4.0]
    """
    choose = filter_map if callable(filter_map) else StateAxes(filter_map).select

    def axes(keys: tuple, value: Any) -> Any:
        path = tuple(map(tree_key, keys))
        if not isinstance(value, Node):
            return choose(path, value)
        by_axis: dict[Any, list[Any]] = {}
        for below, leaf in leaves(value):
            by_axis.setdefault(choose((*path, *below), leaf), []).append(below)
        return StateAxes([(PathIn(*paths), axis) for axis, paths in by_axis.items()])

    return jax.tree_util.tree_map_with_path(axes, node, is_leaf=is_object)


_CONTAINERS = (tuple, list, dict)


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
        taken = self._take(prefix, args, "args")
        named = self._take(dict.fromkeys(kwargs, keywords), kwargs, "kwargs")
        flat = Flat.of((taken, named))
        axis = self._roots[0][2] if self._roots else None
        alike = all([other == axis for _, _, other in self._roots])
        if alike and not isinstance(axis, ByFilter):
            self._assign([(leaf, axis) for leaf in _held(flat)])  # no further walk
        else:
            self._assign_each()
        return flat

    def of_result(self, axes: Any, result: Any) -> Any:
        """A result with numbered places for its arrays, which are here.

        Raises:
            ArgumentError: a Variable gets two axes, or the axes do not fit.
        """
        taken = self._take(axes, result, "result")
        self._assign_each()
        return taken

    def _take(self, prefix: Any, value: Any, name: str) -> Any:
        """Takes the arrays out of a value; numbered places stand for them."""
        if is_object(value):
            self._roots.append((name, value, prefix))
            return value
        if not isinstance(prefix, _CONTAINERS) and not _has_object(value):
            if isinstance(prefix, ByFilter):
                raise ArgumentError(
                    f"{name} holds no object, but has {prefix!r} for its axes",
                    remedy="give an int or None for arrays.",
                )
            self.arrays.append(value)
            self.array_axes.append(prefix)
            self.names.append(name)
            return DynamicArg(len(self.arrays) - 1)
        if isinstance(value, Mapping):
            make: Any = type(value)
            return make(
                {
                    k: self._take(_below(prefix, k, name), v, f"{name}[{k!r}]")
                    for k, v in value.items()
                }
            )
        if isinstance(value, tuple | list):
            if isinstance(prefix, tuple | list) and len(prefix) != len(value):
                raise ArgumentError(
                    f"{name} has {len(value)} items, its axes have {len(prefix)}",
                    remedy="give one axis for each, or one for all.",
                )
            items = [
                self._take(_below(prefix, i, name), item, f"{name}[{i}]")
                for i, item in enumerate(value)
            ]
            return (
                type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
            )
        inner, treedef = jax.tree.flatten(value, is_leaf=is_object)
        if any(item is value for item in inner):
            raise ArgumentError(
                f"{name} is one array, but its axes are {prefix!r}",
                remedy="give one axis, or the value the form of the axes.",
            )
        items = [self._take(prefix, v, f"{name}[{i}]") for i, v in enumerate(inner)]
        return jax.tree.unflatten(treedef, items)

    def _assign_each(self) -> None:
        """Gives what is below each object the axis that the object has."""
        for _, value, axis in self._roots:
            if isinstance(axis, ByFilter):
                pairs = [
                    (leaf, axis.select(path, leaf)) for path, leaf in leaves(value)
                ]
                found = [(resolve(x) if is_object(x) else x, one) for x, one in pairs]
            else:
                found = [(leaf, axis) for leaf in _held(Flat.of(value))]
            self._assign(found)

    def _assign(self, found: list[tuple[Any, Any]]) -> None:
        for leaf, axis in found:
            if not isinstance(leaf, Variable):
                if axis is None or axis is Carry or axis == self.whole:
                    continue
                raise ArgumentError(
                    f"{self._paths(leaf)[-1]} is a bare array, and has axis {axis}",
                    remedy="hold it in an nnx.Variable, which can be mapped.",
                )
            known = self.by_variable.setdefault(id(leaf), axis)
            if known != axis:
                paths = self._paths(leaf)
                raise ArgumentError(
                    f"{paths[0]} and {paths[-1]} are one "
                    f"{type(leaf).__name__}, but have axes {known} and {axis}",
                    remedy="give a shared Variable the same axis everywhere.",
                )

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


def _held(flat: Flat) -> list[Any]:
    """The Variables and bare leaves."""
    return [*flat.variables, *[slot[key] for slot, key in flat.places]]


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
