"""What a checkpoint holds of an object: every place of state, with its path.

An *item* is one place where state stands: a Variable, a bare array, or a number that is
data. A Variable that stands in several places has an item for each; a node met again
has one that names its first path, so that cycles end. Items know how a new value is put
in place: a Variable's into the box, a bare one's into the node, list or dict around it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import starmap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import guard
from ..core import Node, Path, Variable, bump, children, is_array, is_data, tree_key
from ..errors import ArgumentError

_NUMBERS = (bool, int, float, complex)


@dataclasses.dataclass(eq=False)
class Item:
    """One place of state.

    Args:
        path: the name of the object, and the keys below it.
        value: the Variable, array or number; a node where it is met again.
        same: the first path of a node that is met again.
        owner, key: the node, list or dict that a bare value stands in, and where.
        tail: the rest of the way to it, through tuples and the like.
    """

    path: Path
    value: Any
    same: Path | None = None
    owner: Any = None
    key: Any = None
    tail: Path = ()

    @property
    def kind(self) -> str:
        """The Variable type by name; `array` for bare values, `node` if met again."""
        if self.same is not None:
            return "node"
        return type(self.value).__name__ if self.is_variable else "array"

    @property
    def is_variable(self) -> bool:
        """Whether it is a Variable."""
        return isinstance(self.value, Variable)

    def leaves(self) -> list[tuple[str, Any]]:
        """The arrays and numbers, each with its path within the value."""
        if self.same is not None:
            return []
        value = self.value.get_raw_value() if self.is_variable else self.value
        pairs, _ = jax.tree_util.tree_flatten_with_path(value)
        return [(jax.tree_util.keystr(path), leaf) for path, leaf in pairs]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is known of a leaf besides its value; two that are equal fit.

    Args:
        dtype: the name of a dtype, `key<...>` for random keys, `Python int` and the
            like for numbers.
        shape: the shape.
    """

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, leaf: Any) -> Spec:
        """The Spec of an array or number."""
        if isinstance(leaf, _NUMBERS):
            return cls(f"Python {type(leaf).__name__}", ())
        if is_key(leaf):
            return cls(f"key<{jax.random.key_impl(leaf)}>", tuple(leaf.shape))
        return cls(np.dtype(leaf.dtype).name, tuple(leaf.shape))

    def __str__(self) -> str:
        if self.dtype.startswith("Python"):
            return self.dtype
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed random keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def collect(name: str, obj: Any) -> list[Item]:
    """The items of an object, in canonical order.

    Raises:
        ArgumentError: it is, or holds as data, what has no place in a checkpoint.
    """
    collector = _Collector()
    if not (isinstance(obj, Node | Variable | list | dict | tuple) or is_array(obj)):
        raise ArgumentError(
            f"{name!r} is a {type(obj).__name__}: a checkpoint holds oakum objects, "
            "and lists, dicts and tuples of these and of arrays",
            remedy="nnx.save(path, model=model, optimizer=optimizer).",
        )
    collector.visit(Item((name,), obj), dynamic=True)
    return collector.items


class _Collector:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self.nodes: dict[int, Path] = {}
        self.alive: list[Any] = []  # an id is no other object's while its object lives

    def visit(self, item: Item, dynamic: bool) -> None:
        value = item.value
        if isinstance(value, Node | list | dict):
            if id(value) in self.nodes:
                self.items.append(dataclasses.replace(item, same=self.nodes[id(value)]))
                return
            self.nodes[id(value)] = item.path
            self.alive.append(value)
            self._below(item, value, dynamic)
        elif isinstance(value, Variable) or is_array(value):
            self.items.append(item)
        elif isinstance(value, _NUMBERS):
            if dynamic:
                self.items.append(item)
        elif value is not None:
            self._immutable(item, dynamic)

    def _below(self, item: Item, owner: Any, dynamic: bool) -> None:
        marks = (isinstance(owner, Node) and owner._marks) or {}
        dynamic = dynamic and not isinstance(owner, Node)
        for key, child in children(owner):
            mark = marks.get(key)
            if mark == "data" or (mark is None and (dynamic or is_data(child))):
                below = Item((*item.path, key), child, owner=owner, key=key)
                self.visit(below, dynamic or mark == "data")

    def _immutable(self, item: Item, dynamic: bool) -> None:
        pairs = children(item.value)
        if not pairs and not isinstance(item.value, tuple):
            if not dynamic:
                return
            raise ArgumentError(
                f"{path_text(item.path)} is a {type(item.value).__name__}, which a "
                f"checkpoint cannot hold: {item.value!r:.60}",
                remedy="keep it as a plain attribute, or in a list or dict of its own.",
            )
        for key, child in pairs:
            if dynamic or is_data(child):
                path, tail = (*item.path, key), (*item.tail, key)
                self.visit(Item(path, child, None, item.owner, item.key, tail), dynamic)


def path_text(path: Path) -> str:
    """A path as Python writes it: `model.layers[2].kernel`."""
    steps = [
        f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
        for key in path[1:]
    ]
    return f"{path[0]}{''.join(steps)}"


def put(values: Iterable[tuple[Item, Any]]) -> None:
    """Puts a new value in the place of each item: all of them, or on an error none."""
    variables, raws, calls = [], [], []
    bare: dict[tuple[int, Any], tuple[Item, dict[Path, Any]]] = {}
    for item, value in values:
        if item.is_variable:
            variables.append(guard.writable(item.value))
            raws.append(value)
        else:
            bare.setdefault((id(item.owner), item.key), (item, {}))[1][item.tail] = (
                value
            )
    owners = []
    for item, new in bare.values():
        owner = item.owner
        if isinstance(owner, Node):
            owners.append(guard.writable(owner))
        slot = owner if isinstance(owner, list | dict) else owner._oakum_slot()
        base = list if isinstance(slot, list) else dict
        value = _rebuild(base.__getitem__(slot, item.key), new, ())  # type: ignore[arg-type]
        calls.append((base.__setitem__, slot, item.key, value))
    for owner in owners:
        bump(owner)
    # Loops in C, which Ctrl-C does not interrupt.
    deque(map(Variable._raw.__set__, variables, raws), 0)  # type: ignore[attr-defined]
    deque(starmap(operator.call, calls), 0)


def _rebuild(value: Any, new: Mapping[Path, Any], tail: Path) -> Any:
    """A tuple, or another immutable pytree, with new values at some paths."""
    if tail in new:
        return new[tail]
    if not any(path[: len(tail)] == tail for path in new):
        return value
    pairs, treedef = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda x: x is not value
    )
    parts = [_rebuild(v, new, (*tail, tree_key(path[0]))) for path, v in pairs]
    return jax.tree.unflatten(treedef, parts)
