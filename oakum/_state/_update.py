"""update: writes states into an object graph; where one misfits, writes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .. import _guard as guard
from .._compat import ConcreteArray
from .._graph._graphdef import Path
from .._graph._walk import aliases, children, leaves
from .._objects._nodes import NUMBERS, Node
from .._objects._version import bump, noted
from .._objects.variables._kinds import Param
from .._objects.variables._owned import owned
from .._objects.variables._variable import Variable, set_value
from ..errors import ArgumentError, StructureError
from ._freeze import TRAINABLE, is_frozen
from ._state import FlatState, State, flat_items

_PYTHON_NUMBERS = frozenset({bool, int, float, complex})


def update(node: Any, state: Any, *states: Any, strict: bool | None = None) -> None:
    """Writes the values of States into the Variables of a graph.

    What is given may be any part of the graph, and of other dtypes: so a model is cast
    in place. NumPy arrays are copied, and lie where the old value lay.

    Args:
        node: the graph to change.
        state, *states: States, or nested dicts of arrays or numbers. A Variable at a
            path that the graph lacks is added to it. Which are frozen stays as it is in
            the graph.
        strict: True checks everything: each shape and dtype, and that no Variable is
            left out but whole types, or what is frozen of a type. False takes a Param
            of another shape, and an array at a path that the graph lacks, too.

    Raises:
        StructureError: lists every mismatch; nothing was changed.

    Example:
        >>> import oakum as nnx, jax
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.update(model, jax.tree.map(lambda x: 0 * x, nnx.state(model)))
        >>> float(abs(model.kernel).sum())
        0.0
    """
    if strict is None and not states and _is_written_at_once(node, state):
        return
    known = dict(leaves(node))
    others = aliases(node, known)
    flat: dict[Path, Any] = {}
    for part in (state, *states):
        for path, value in flat_leaves(part, {*known, *others}):
            flat[others.get(path, path)] = value
    lines = _refused(known, flat, strict)
    if lines:
        raise mismatch_error("update", lines, _REMEDIES[strict])
    for path in flat:
        if isinstance(known.get(path), Variable):
            guard.writable(known[path])  # raises before anything is written
    values = {p: _new_value(v, known[p]) for p, v in flat.items() if p in known}
    for path, value in flat.items():
        if path in known:
            _write(node, path, known[path], value, values[path])
        else:
            _add(node, path, value)


def _is_written_at_once(node: Any, state: Any) -> bool:
    """Writes a State whose Variables stand for those of the graph, as most do.

    To tell the paths of all leaves apart takes ten times as long.

    Returns:
        Whether it was; else nothing was changed.
    """
    pairs: list[tuple[Any, Any]] = []
    if type(state) is not State or guard.consuming or not _pair(node, state, pairs):
        return False
    own, given = [leaf for leaf, _ in pairs], [other for _, other in pairs]
    if not (guard.all_eager(own) and guard.all_eager(given) and _are_alike(pairs)):
        return False
    values = [other._raw for other in given]
    deque(map(set_value, own, values), 0)
    return True


def _are_alike(pairs: list[tuple[Any, Any]]) -> bool:
    """Whether the array of each second Variable can be that of the first as it is."""
    for leaf, other in pairs:
        value, old = other._raw, leaf._raw
        if type(value) is not ConcreteArray or type(old) is not ConcreteArray:
            return False
        if other._meta != leaf._meta or _is_unplaced(value, old):
            return False
        if value.shape != old.shape and isinstance(leaf, Param):
            return False
    return True


def _pair(node: Any, state: State, pairs: list[tuple[Any, Any]]) -> bool:
    """The Variables of a graph and of a State that stand at one place, in pairs.

    Returns:
        Whether all of the State stands for Variables of the graph.
    """
    kind = type(node)
    if issubclass(kind, Node):
        slot = kind._oakum_slot(node)
    elif kind in (list, tuple, dict):
        slot = node
    else:
        return False
    for key, given in state._mapping.items():
        try:
            below = slot[key] if type(key) is not int or key >= 0 else None
        except (LookupError, TypeError):
            return False
        if type(given) is State:
            if not _pair(below, given, pairs):
                return False
        elif isinstance(given, Variable) and issubclass(type(below), Variable):
            pairs.append((below, given))
        else:
            return False
    return True


_REMEDIES = {
    True: "correct the State; without strict=True it may be a part of the model, and "
    "of other dtypes.",
    None: "correct the State, or give a Variable for what is new; strict=False takes "
    "it as it is.",
    False: "correct the State.",
}


def _refused(
    known: dict[Path, Any], flat: dict[Path, Any], strict: bool | None
) -> list[str]:
    """What keeps given values from being written, a line each."""
    unknown = [path for path in flat if path not in known]
    lines = _misplaced(known, unknown)
    if strict:
        return lines or mismatches(known, flat, unknown)
    if strict is None:
        lines += [
            f"{show(path)}: unknown path, and a {type(flat[path]).__name__}, no "
            "Variable"
            for path in unknown
            if not isinstance(flat[path], Variable)
        ]
        for path, value in flat.items():
            if isinstance(known.get(path), Param):
                lines += _other_shape(show(path), raw(known[path]), raw(value))
    return lines


def _misplaced(known: dict[Path, Any], unknown: list[Path]) -> list[str]:
    """Leaves that would stand where the graph has a node, or below a leaf."""
    if not unknown:
        return []
    above = {path[:i] for path in known for i in range(len(path))}
    return [
        f"{show(path)}: a leaf, where the model has a node"
        if path in above
        else f"{show(path)}: below a leaf of the model"
        for path in unknown
        if path in above or any(path[:i] in known for i in range(len(path)))
    ]


def flat_leaves(part: Any, known: Set[Path] = frozenset()) -> list[tuple[Path, Any]]:
    """The (path, leaf) pairs of what stands for a state.

    Args:
        part: a State, nested dicts, or a leaf.
        known: paths of leaves, which may be dicts.

    Raises:
        ArgumentError: it is neither a State nor nested dicts.
    """
    if isinstance(part, Node) and not isinstance(part, State):
        return leaves(part)
    if isinstance(part, FlatState):
        return list(part)
    if isinstance(part, (Variable, *NUMBERS)) or hasattr(part, "shape"):
        return [((), part)]
    if () in known:
        return [] if isinstance(part, Mapping) and not part else [((), part)]
    if not isinstance(part, Mapping):
        raise ArgumentError(
            f"A State or nested dicts are needed, got {type(part).__name__}",
            remedy="nnx.state(model) gives a State.",
        )
    return list(_flat_items(part, known))


def _flat_items(
    part: Mapping, known: Set[Path], path: Path = ()
) -> Iterator[tuple[Path, Any]]:
    if not known:
        yield from flat_items(part)
        return
    for key, value in part.items():
        at = (*path, key)
        if not isinstance(value, Mapping) or isinstance(value, Variable):
            yield at, value
        elif at not in known:
            yield from _flat_items(value, known, at)
        elif value:  # an empty State stands for a reference
            yield at, value


def mismatches(
    known: dict[Path, Any], flat: dict[Path, Any], unknown: Iterable[Path]
) -> list[str]:
    """What keeps given values from being written to known leaves, a line each."""
    lines = [f"{show(path)}: unknown path" for path in unknown]
    for path, value in flat.items():
        if path in known:
            lines += _differences(show(path), raw(known[path]), raw(value))
    kinds = {_kind(leaf) for path, leaf in known.items() if path in flat}
    from .._elsewhere import of_missing

    for path, leaf in known.items():
        if _kind(leaf) in kinds and path not in flat and isinstance(leaf, Variable):
            kind = type(leaf).__name__
            lines.append(f"{show(path)}: missing ({kind}){of_missing(path)}")
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
    lines = _other_shape(name, old, new)
    if old.dtype != new.dtype:
        lines.append(f"{name}: expected dtype {old.dtype}, got {new.dtype}")
    return lines


def _other_shape(name: str, old: Any, new: Any) -> list[str]:
    shape = () if isinstance(new, NUMBERS) else getattr(new, "shape", None)
    if shape is None or not hasattr(old, "shape") or tuple(shape) == tuple(old.shape):
        return []
    return [f"{name}: expected shape {tuple(old.shape)}, got {tuple(shape)}"]


def raw(leaf: Any) -> Any:
    """The array of a Variable, or the array itself."""
    return leaf.get_raw_value() if isinstance(leaf, Variable) else leaf


def _new_value(given: Any, leaf: Any) -> Any:
    """What to store of what was given; a number becomes an array where one stood."""
    value, old = raw(given), raw(leaf)
    if type(value) in _PYTHON_NUMBERS and isinstance(old, jax.Array):
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(value, jnp.result_type(old.dtype, value))
    if _is_unplaced(value, old):
        return jax.device_put(value, old.sharding)
    return owned(value, old) if isinstance(leaf, Variable) else value


def _is_unplaced(value: Any, old: Any) -> bool:
    """Whether JAX chose where a value lies, and what it replaces is spread."""
    both = isinstance(old, jax.Array) and isinstance(value, jax.Array)  # or keys
    return (
        both
        and not (isinstance(old, Tracer) or isinstance(value, Tracer))
        and old.sharding.num_devices > 1
        and not value.committed
        and value.shape == old.shape
    )


def _write(node: Any, path: Path, leaf: Any, given: Any, value: Any) -> None:
    if not isinstance(leaf, Variable):
        if value is not leaf:
            _set_below(node, path, value)
        return
    leaf = guard.writable(leaf)
    leaf._raw = noted(leaf, value)
    if isinstance(given, Variable) and given._meta != leaf._meta:
        # Whether it is trained belongs to the model, not to what is written to it.
        meta = {k: v for k, v in given._meta.items() if k != TRAINABLE}
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
    if type(value) in (dict, list):
        value[path[0]] = new
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
