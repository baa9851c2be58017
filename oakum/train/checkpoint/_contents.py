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

from ... import _guard as guard
from ..._graph import Path, children, tree_key
from ..._objects import NUMBERS, Node, Variable, bump, is_array, is_data, set_value
from ...errors import ArgumentError
from ...sharding._agreement import check_agreement


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
    held: Any = None  # the Variable's value, once all were read

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
        value = self.value
        if self.is_variable:
            value = self.value.get_raw_value() if self.held is None else self.held
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
        if not hasattr(leaf, "dtype"):
            return cls(f"Python {type(leaf).__name__}", ())
        if is_key(leaf):
            return cls(f"key<{_key_impl(leaf)}>", tuple(leaf.shape))
        return cls(np.dtype(leaf.dtype).name, tuple(leaf.shape))

    def __str__(self) -> str:
        if self.dtype.startswith("Python"):
            return self.dtype
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed random keys."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _key_impl(leaf: Any) -> Any:
    """The implementation of random keys, also of abstract ones."""
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.random.key_impl(leaf)
    found: list[Any] = []  # JAX tells it of arrays and tracers alone
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


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


def hold_values(items: list[Item]) -> None:
    """Takes all Variables' values as of one moment, and keeps them alive."""
    boxes = [item for item in items if item.is_variable and item.same is None]
    values = guard.settled_values([item.value for item in boxes])
    for item, value in zip(boxes, values, strict=True):
        item.held = value


def check_alike(verb: str, items: Iterable[Item]) -> None:
    """Compares what several processes hold of the same arrays; all of them call it.

    Raises:
        ArgumentValueError: they differ; names the first array that does.
    """
    check_agreement(
        verb,
        [
            (path_text(item.path) + below, leaf)
            for item in items
            for below, leaf in item.leaves()
            if not isinstance(leaf, jax.ShapeDtypeStruct)
        ],
    )


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
        elif isinstance(value, Variable):
            self.items.append(item)
        elif is_array(value) or isinstance(value, NUMBERS):
            _check_place(item)
            self.items.append(item)
        elif value is not None:
            self._immutable(item, dynamic)

    def _below(self, item: Item, owner: Any, dynamic: bool) -> None:
        marks = (isinstance(owner, Node) and owner._oakum_marks) or {}
        dynamic = dynamic and not isinstance(owner, Node)
        for key, child in _children(owner):
            mark = marks.get(key)
            if mark == "data" or (mark is None and (dynamic or is_data(child))):
                below = Item((*item.path, key), child, owner=owner, key=key)
                self.visit(below, dynamic or mark == "data")

    def _immutable(self, item: Item, dynamic: bool) -> None:
        pairs = _children(item.value)
        if not pairs and jax.tree.leaves(item.value):
            raise ArgumentError(
                f"{path_text(item.path)} is a {type(item.value).__name__}, which a "
                f"checkpoint cannot hold: {item.value!r:.60}",
                remedy="give it arrays and numbers; what else there is belongs to the "
                "program, as a plain attribute.",
            )
        # What JAX takes out of a registered class may be a list or dict made just now:
        # to write into that would be lost, so it counts as a part of the whole.
        fresh = not isinstance(item.value, tuple)
        for key, child in pairs:
            if dynamic or is_data(child):
                path, tail = (*item.path, key), (*item.tail, key)
                below = Item(path, child, None, item.owner, item.key, tail)
                if fresh and type(child) in (list, dict):
                    self._immutable(below, dynamic)
                else:
                    self.visit(below, dynamic)


def _children(value: Any) -> list[tuple[Any, Any]]:
    """As `children`, where numbers are data as well; dicts by key."""
    if isinstance(value, Node):
        return children(value)
    if type(value) is dict:
        try:
            return sorted(value.items(), key=operator.itemgetter(0))
        except TypeError:  # keys of several types
            return list(value.items())
    if isinstance(value, list | tuple):
        return list(
            zip(getattr(value, "_fields", range(len(value))), value, strict=True)
        )
    pairs, _ = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda x: x is not value
    )
    if len(pairs) == 1 and pairs[0][1] is value:
        return []
    return [(tree_key(path[0]), child) for path, child in pairs]


def _check_place(item: Item) -> None:
    """Refuses to hold a bare value for which there is no place to be loaded into."""
    if item.owner is not None:
        return
    text = path_text(item.path)
    raise ArgumentError(
        f"{text} is a bare {type(item.value).__name__}, and loading fills places: "
        "Variables, attributes, and items of lists and dicts",
        remedy=f"put it in a dict, to save it and to load it: {item.path[0]}="
        "{'x': x}.",
    )


def path_text(path: Path) -> str:
    """A path as Python writes it: `model.layers[2].kernel`."""
    steps = [
        f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
        for key in path[1:]
    ]
    return f"{path[0]}{''.join(steps)}"


def put(values: Iterable[tuple[Item, Any]]) -> None:
    """Puts a new value in the place of each item: all of them, or on an error none."""
    calls: list[tuple] = []
    bare: dict[tuple[int, Any], tuple[Item, dict[Path, Any]]] = {}
    for item, value in values:
        if item.is_variable:
            calls.append((set_value, guard.writable(item.value), value))
        else:
            _, new = bare.setdefault((id(item.owner), item.key), (item, {}))
            new[item.tail] = value
    owners = []
    for item, new in bare.values():
        owner = item.owner
        if isinstance(owner, Node):
            owners.append(guard.writable(owner))
        slot = owner if isinstance(owner, list | dict) else owner._oakum_slot()
        base = list if isinstance(slot, list) else dict
        old = base.__getitem__(slot, item.key)  # type: ignore[arg-type]
        calls.append((base.__setitem__, slot, item.key, _rebuild(old, new, ())))
    for owner in owners:
        bump(owner)
    # One loop in C, which Ctrl-C does not interrupt.
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
