"""update: writes states into an object graph; where one misfits, writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from .. import _guard as guard
from .._graph._graphdef import Path
from .._graph._walk import aliases, children, leaves
from .._objects._nodes import Node
from .._objects._owned import owned
from .._objects._variable import Variable
from .._objects._version import bump
from ..errors import ArgumentError, StructureError
from ._freeze import TRAINABLE, is_frozen
from ._state import FlatState, State, flat_items


def update(node: Any, state: Any, *states: Any, strict: bool = True) -> None:
    """Writes the values of States into the Variables of a graph.

    Args:
        node: the graph to change.
        state, *states: States, or nested dicts of arrays. They may leave out whole
            Variable types (only `Param`, say), or what is frozen of a type, but not
            single Variables. Which are frozen stays as it is in the graph.
        strict: False skips the checks of shape, dtype and missing paths, and sets
            unknown paths as new attributes, as flax.nnx does.

    Raises:
        StructureError: lists every mismatch; nothing was changed.

    Example:
        >>> import oakum as nnx, jax
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.update(model, jax.tree.map(lambda x: 0 * x, nnx.state(model)))
        >>> float(abs(model.kernel).sum())
        0.0
    """
    known = dict(leaves(node))
    others = aliases(node, known)
    flat: dict[Path, Any] = {}
    for part in (state, *states):
        for path, value in flat_leaves(part):
            flat[others.get(path, path)] = value
    unknown = [path for path in flat if path not in known]
    if strict:
        lines = mismatches(known, flat, unknown)
        if lines:
            raise mismatch_error(
                "update",
                lines,
                "correct the State; nnx.update(..., strict=False) skips these checks.",
            )
    for path in flat:
        if isinstance(known.get(path), Variable):
            guard.writable(known[path])  # raises before anything is written
    for path, value in flat.items():
        if path in known:
            _write(node, path, known[path], value)
        else:
            _add(node, path, value)


def flat_leaves(part: Any) -> list[tuple[Path, Any]]:
    """The (path, leaf) pairs of what stands for a state.

    Raises:
        ArgumentError: it is neither a State nor nested dicts.
    """
    if isinstance(part, Node) and not isinstance(part, State):
        return leaves(part)
    if isinstance(part, FlatState):
        return list(part)
    if isinstance(part, Variable) or hasattr(part, "shape"):
        return [((), part)]
    if not isinstance(part, Mapping):
        raise ArgumentError(
            f"A State or nested dicts are needed, got {type(part).__name__}",
            remedy="nnx.state(model) gives a State.",
        )
    return list(flat_items(part))


def mismatches(
    known: dict[Path, Any], flat: dict[Path, Any], unknown: Iterable[Path]
) -> list[str]:
    """What keeps given values from being written to known leaves, a line each."""
    lines = [f"{show(path)}: unknown path" for path in unknown]
    for path, value in flat.items():
        if path in known:
            lines += _differences(show(path), raw(known[path]), raw(value))
    kinds = {_kind(leaf) for path, leaf in known.items() if path in flat}
    for path, leaf in known.items():
        if _kind(leaf) in kinds and path not in flat and isinstance(leaf, Variable):
            lines.append(f"{show(path)}: missing ({type(leaf).__name__})")
    return lines


def _kind(leaf: Any) -> tuple[type, bool]:
    return type(leaf), is_frozen(leaf)


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if not (hasattr(old, "shape") and hasattr(old, "dtype")):
        return []
    if not hasattr(new, "shape"):
        if isinstance(new, int | float | complex | bool) and old.shape == ():
            return []
        return [f"{name}: expected an array, got {type(new).__name__}"]
    lines = []
    if tuple(old.shape) != tuple(new.shape):
        lines.append(
            f"{name}: expected shape {tuple(old.shape)}, got {tuple(new.shape)}"
        )
    if old.dtype != new.dtype:
        lines.append(f"{name}: expected dtype {old.dtype}, got {new.dtype}")
    return lines


def raw(leaf: Any) -> Any:
    """The array of a Variable, or the array itself."""
    return leaf.get_raw_value() if isinstance(leaf, Variable) else leaf


def _write(node: Any, path: Path, leaf: Any, value: Any) -> None:
    if not isinstance(leaf, Variable):
        if raw(value) is not leaf:
            _set_below(node, path, raw(value))
        return
    leaf = guard.writable(leaf)
    leaf._raw = owned(raw(value))
    if isinstance(value, Variable) and value._meta != leaf._meta:
        # Whether it is trained belongs to the model, not to what is written to it.
        meta = {k: v for k, v in value._meta.items() if k != TRAINABLE}
        if TRAINABLE in leaf._meta:
            meta[TRAINABLE] = leaf._meta[TRAINABLE]
        if meta != leaf._meta:
            leaf._meta = meta
            bump(leaf)


def _add(node: Any, path: Path, value: Any) -> None:
    """Sets a new attribute; where several steps are unknown, a State of the rest."""
    value = value.replace() if isinstance(value, Variable) else value
    for depth, key in enumerate(path[:-1]):
        below = dict(children(node))
        if key not in below:
            rest: Any = value
            for later in reversed(path[depth + 1 :]):
                rest = State({later: rest})
            set_child(node, key, rest)
            return
        node = below[key]
    set_child(node, path[-1], value)


def _set_below(value: Any, path: Path, leaf: Any) -> Any:
    """`value` with a leaf replaced: itself if it can be changed, else a new one."""
    if not path:
        return leaf
    below = dict(children(value))
    new = _set_below(below[path[0]], path[1:], leaf)
    if isinstance(value, Node):
        if new is not below[path[0]]:
            set_child(value, path[0], new)
        return value
    below[path[0]] = new
    return rebuilt(value, list(below.values()))


def rebuilt(value: Any, items: list[Any]) -> Any:
    """A pytree of the same kind, such as a tuple, with other children."""
    treedef = jax.tree.structure(value, is_leaf=lambda x: x is not value)
    return jax.tree.unflatten(treedef, items)


def set_child(node: Any, key: Any, child: Any) -> None:
    """Sets a child of a node by its name or index."""
    if isinstance(node, list | dict | State):
        node[key] = child
    else:
        setattr(node, key, child)


def show(path: Path) -> str:
    """A path as text, for messages."""
    return ".".join([str(part) for part in path]) or "the root"


def mismatch_error(verb: str, lines: list[str], remedy: str) -> StructureError:
    """The error that lists all mismatches of a state and a graph."""
    listing = "".join(f"\n  {line}" for line in lines)
    count = "1 mismatch" if len(lines) == 1 else f"{len(lines)} mismatches"
    return StructureError(f"{verb}: {count}{listing}", remedy=remedy)
