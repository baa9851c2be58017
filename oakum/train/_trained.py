"""What an optimizer trains: leaves of a model, and the gradients that belong to them.

A leaf is a Variable, or a bare array that the filter selects. A Variable may hold a
pytree; its arrays are trained each for itself, under the Variable's path and the
names within.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._graph import Path, leaves, tree_key
from .._objects import Node, Variable, is_array, is_variable
from .._state import (
    State,
    filter_name,
    from_flat_state,
    is_frozen,
    partition,
    raw,
    show,
    update,
)
from ..errors import FilterError, StructureError


class Trained:
    """The leaves that are trained, with paths, and their arrays one by one.

    Args:
        model: the model, or a pytree of models.
        wrt: a filter; what is frozen is left out.

    Raises:
        FilterError: nothing is selected, or only what is frozen.
    """

    __slots__ = ("arrays", "below", "leaves", "model", "paths", "structures")

    def __init__(self, model: Any, wrt: Any):
        found = _select(model, wrt)
        self.model = model
        self.paths: list[Path] = [path for path, _ in found]
        self.leaves = [leaf for _, leaf in found]
        self.below: list[list[Path]] = []
        self.structures: list[Any] = []
        self.arrays: list[list[Any]] = []
        for leaf in self.leaves:
            below, structure, arrays = _parts(_value(leaf))
            self.below.append(below)
            self.structures.append(structure)
            self.arrays.append(arrays)

    def tree(self, arrays: list[list[Any]]) -> State:
        """A State of arrays, one list for each leaf."""
        return from_flat_state(
            [
                ((*path, *inner), array)
                for path, below, group in zip(
                    self.paths, self.below, arrays, strict=True
                )
                for inner, array in zip(below, group, strict=True)
            ]
        )

    def taken(self, tree: Any) -> list[list[Any]]:
        """The arrays of `tree`, a State or nested dicts."""
        return [
            [_follow(tree, (*path, *inner)) for inner in below]
            for path, below in zip(self.paths, self.below, strict=True)
        ]

    def write(self, arrays: list[list[Any]]) -> None:
        """Puts new arrays into the model."""
        bare = []
        for path, leaf, structure, olds, news in zip(
            self.paths, self.leaves, self.structures, self.arrays, arrays, strict=True
        ):
            value = jax.tree.unflatten(structure, list(map(_as_weak, news, olds)))
            if isinstance(leaf, Variable):
                leaf.set_value(value)
            else:
                bare.append((path, value))
        if bare:
            update(self.model, from_flat_state(bare))

    def by_path(self) -> dict[Path, tuple[Any, Any]]:
        """The leaf and the array, by the array's path."""
        return {
            (*path, *inner): (leaf, array)
            for path, leaf, below, group in zip(
                self.paths, self.leaves, self.below, self.arrays, strict=True
            )
            for inner, array in zip(below, group, strict=True)
        }

    def gradients(self, grads: Any) -> list[list[Any]]:
        """The arrays of the gradients, checked against what is trained.

        Args:
            grads: a State as `nnx.grad` returns it, nested dicts, or models. They may
                also hold the gradients of leaves that are not trained here.

        Raises:
            StructureError: lists what is missing, unknown, or of another shape.
        """
        trained = set(self.paths)
        known = trained | {path for path, _ in leaves(self.model)}
        given = dict(_gradients(grads, (), known))
        lines, taken = [], []
        for path, below, group in zip(self.paths, self.below, self.arrays, strict=True):
            if path not in given:
                lines.append(f"{show(path)}: no gradient")
                continue
            names, _, parts = _parts(raw(given[path]))
            if names != below:
                expected, got = _names(below), _names(names)
                lines.append(f"{show(path)}: expected {expected}, got {got}")
            for inner, old, new in zip(below, group, parts, strict=False):
                if jnp.shape(old) != jnp.shape(new):
                    expected, got = jnp.shape(old), jnp.shape(new)
                    where = show((*path, *inner))
                    lines.append(f"{where}: expected shape {expected}, got {got}")
            taken.append(parts)
        lines += [f"{show(p)}: unknown path" for p in given if p not in known]
        if lines:
            raise StructureError(
                "The gradients do not fit the parameters"
                + "".join(f"\n  {line}" for line in lines),
                remedy="take them with the optimizer's wrt: "
                "nnx.grad(loss, argnums=nnx.DiffState(0, wrt)).",
            )
        return taken


def _select(model: Any, wrt: Any) -> list[tuple[Path, Any]]:
    groups, _ = partition(leaves(model), (wrt,))
    held = [(p, v) for p, v in groups[0] if isinstance(v, Variable) or is_array(v)]
    params = [(p, v) for p, v in held if not is_frozen(v)]
    name = filter_name(wrt)
    if held and not params:
        raise FilterError(
            f"Nothing to train: all that wrt={name} selects of {type(model).__name__} "
            f"is frozen ({len(held)} Variable{'s' * (len(held) > 1)})",
            remedy="nnx.unfreeze(model, filter) what is to be trained.",
        )
    if not params:
        kinds = sorted({type(v).__name__ for _, v in leaves(model)})
        raise FilterError(
            f"Nothing to train: wrt={name} selects no Variable and no array of "
            f"{type(model).__name__}",
            where=f"it holds: {', '.join(kinds) or 'no state'}",
            remedy="give a filter that selects what is to be trained, as in "
            "nnx.Optimizer(model, tx, wrt=nnx.Param).",
        )
    return params


def _value(leaf: Any) -> Any:
    return leaf.get_value() if isinstance(leaf, Variable) else leaf


def _parts(value: Any) -> tuple[list[Path], Any, list[Any]]:
    """The arrays of a value: the names of each within, the structure, the arrays."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(value)
    return [keys_of(path) for path, _ in pairs], structure, [x for _, x in pairs]


def keys_of(path: Any) -> Path:
    """The names and indices of a JAX key path; a key may hold a path of its own."""
    names: list[Any] = []
    for key in path:
        names.extend(getattr(key, "path", (tree_key(key),)))
    return tuple(names)


def _names(below: list[Path]) -> str:
    return ", ".join(show(path) for path in below) if below != [()] else "an array"


def _follow(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _gradients(grads: Any, path: Path, known: set[Path]) -> Iterator[tuple[Path, Any]]:
    """The (path, leaf) pairs of a State, of models, or of a pytree of these."""
    if path in known or is_variable(grads):
        yield path, grads
    elif isinstance(grads, Mapping):
        items = grads._oakum_children() if isinstance(grads, State) else grads.items()
        for key, part in items:
            yield from _gradients(part, (*path, key), known)
    elif isinstance(grads, list | tuple):
        for key, part in enumerate(grads):
            yield from _gradients(part, (*path, key), known)
    elif isinstance(grads, Node):
        yield from (((*path, *below), leaf) for below, leaf in leaves(grads))
    else:
        yield path, grads


def is_weak(value: Any) -> bool:
    """Whether JAX takes the dtype of a value for a Python number's, which gives way.

    A parameter made as `jnp.array(0.5)` or `jnp.full(3, 0.5)` is. A step that took such
    types and returned others would be traced again by the next call.
    """
    return isinstance(value, jax.Array) and jax.typeof(value).weak_type


def _as_weak(value: Any, old: Any) -> Any:
    """The new value of a parameter, of a dtype that gives way if the old one's did."""
    # JAX documents no cast to a weak type; writing to all of an array keeps it.
    return old.at[...].set(value) if is_weak(old) else value
