"""split, merge, state, update, pop, clone and their kin: verbs on object graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .. import guard
from ..errors import ArgumentError, FilterError, StructureError
from ._filters import partition, to_predicate
from ._flatten import encode
from ._graphdef import GraphDef, Path
from ._nodes import Node, is_array, stamp
from ._state import State, flat_items, from_flat_state, remainder_error
from ._unflatten import Decoder, decode
from ._variable import Variable, place
from ._version import bump
from ._walk import children, leaves, walk


def split(node: Any, *filters: Any) -> Any:
    """Takes an object graph apart into its structure and its state.

    Args:
        node: a node, a Variable, or a pytree of these.
        *filters: one State is returned for each; together they select every leaf.

    Returns:
        The GraphDef, then one State (all leaves), or one for each filter. The leaves
        are the Variables of the graph themselves.

    Raises:
        FilterError: leaves remain that no filter selects.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> graphdef, params, rest = nnx.split(model, nnx.Param, ...)
        >>> same = nnx.merge(graphdef, params, rest)
    """
    graphdef, _ = encode(node)
    if graphdef.paths == (((), True),):
        return graphdef, node
    states = _select(leaves(node), filters, exhaustive=True)
    return (graphdef, *states)


def _select(flat: list, filters: tuple, exhaustive: bool) -> list[State]:
    groups, rest = partition(flat, filters or (...,))
    if exhaustive and rest:
        raise remainder_error(rest)
    return [from_flat_state(group) for group in groups]


def state(node: Any, *filters: Any) -> Any:
    """The state of an object graph: its Variables and arrays by path.

    Args:
        node: a node, or a pytree of nodes.
        *filters: what to select; all where there are none.

    Returns:
        One State, or one for each of several filters.

    Example:
        >>> import oakum as nnx
        >>> nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Param).kernel.shape
        (2, 3)
    """
    states = _select(leaves(node), filters, exhaustive=False)
    return tuple(states) if len(filters) > 1 else states[0]


def variables(node: Any, *filters: Any) -> Any:
    """As `state`, but without bare arrays."""
    flat = [(p, v) for p, v in leaves(node) if isinstance(v, Variable)]
    states = _select(flat, filters, exhaustive=False)
    return tuple(states) if len(filters) > 1 else states[0]


def graphdef(node: Any) -> GraphDef:
    """The structure of an object graph.

    Raises:
        StaticValueError: a static attribute cannot be hashed.
    """
    return encode(node)[0]


def merge(
    graphdef_or_graphstate: GraphDef,
    *states: Any,
    copy: bool = False,
    recreate_variables: bool = True,
) -> Any:
    """Builds an object graph from its structure and its state: `split` undone.

    Args:
        graphdef_or_graphstate: the GraphDef.
        *states: States that hold every leaf together, of Variables or of arrays.
        copy: whether to copy the arrays.
        recreate_variables: False puts the given Variables in the new graph.

    Raises:
        StructureError: leaves are missing or surplus; lists them all.
    """
    graph = graphdef_or_graphstate
    if not isinstance(graph, GraphDef):
        raise ArgumentError(
            f"merge takes a GraphDef first, got {type(graph).__name__}",
            remedy="nnx.merge(graphdef, state, ...), as nnx.split returns them.",
        )
    if graph.paths == (((), True),) and len(states) == 1:
        flat: dict = {(): states[0]}
    else:
        flat = {}
        for part in states:
            flat.update(_flat_arrays_too(part))
    paths = [path for path, _ in graph.paths]
    missing = [p for p in paths if p not in flat]
    surplus = sorted(set(flat) - set(paths), key=str)
    if missing or surplus:
        lines = [f"missing {_show(p)}" for p in missing]
        lines += [f"surplus {_show(p)}" for p in surplus]
        raise _mismatch("merge", lines, "give merge all the States that split returned.")
    boxes = [flat[p] for p, is_variable in graph.paths if is_variable]
    bare = [flat[p] for p, is_variable in graph.paths if not is_variable]
    values = [b.get_raw_value() if isinstance(b, Variable) else b for b in boxes]
    bare = [b.get_raw_value() if isinstance(b, Variable) else b for b in bare]
    if copy:
        values, bare = jax.tree.map(_copy_array, (values, bare))
    decoder = Decoder(values, bare)
    if recreate_variables:
        made = decoder.build(graph.token)
        _take_metadata(decoder, boxes)
        return made
    keep = [b if isinstance(b, Variable) else None for b in boxes]
    return _Keeping(values, bare, keep).build(graph.token)


class _Keeping(Decoder):
    """Puts given Variables in the graph instead of making new ones."""

    __slots__ = ("keep",)

    def __init__(self, values: list, bare: list, keep: list):
        super().__init__(values, bare)
        self.keep = iter(keep)

    def _variable(self, token: tuple) -> Any:
        given = next(self.keep)
        if given is None:
            return super()._variable(token)
        next(self.variables)
        self.objects[token[2]] = given
        return given


def _take_metadata(decoder: Decoder, boxes: list) -> None:
    made = [v for _, v in sorted(decoder.objects.items()) if isinstance(v, Variable)]
    for new, given in zip(made, boxes, strict=True):
        if isinstance(given, Variable) and given._meta != new._meta:
            new._meta = dict(given._meta)


def _flat_arrays_too(part: Any) -> list[tuple[Path, Any]]:
    if isinstance(part, Node) and not isinstance(part, State):
        return leaves(part)
    if not isinstance(part, Mapping):
        raise ArgumentError(
            f"A State or nested dicts are needed, got {type(part).__name__}",
            remedy="nnx.state(model) gives a State.",
        )
    return list(flat_items(part))


def _copy_array(x: Any) -> Any:
    return x.copy() if hasattr(x, "copy") else x


def update(node: Any, state: Any, *states: Any, strict: bool = True) -> None:
    """Writes the values of States into the Variables of a graph.

    Args:
        node: the graph to change.
        state, *states: States, or nested dicts of arrays. They may leave out whole
            Variable types (only `Param`, say), but not single Variables of a type.
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
    if isinstance(node, Variable):
        return node.set_value(getattr(state, "value", state))
    flat: dict[Path, Any] = {}
    for part in (state, *states):
        flat.update(_flat_arrays_too(part))
    known = dict(leaves(node))
    unknown = {path: value for path, value in flat.items() if path not in known}
    unknown = {p: v for p, v in unknown.items() if not _is_shared(node, p, known)}
    if strict:
        lines = mismatches(known, flat, unknown)
        if lines:
            raise _mismatch(
                "update",
                lines,
                "correct the State; nnx.update(..., strict=False) skips these checks.",
            )
    for path, value in flat.items():
        if path in known or path in unknown:
            _write(node, path, known.get(path), value)
    return None


def _is_shared(node: Any, path: Path, known: dict) -> bool:
    """Whether a path leads to a leaf that is known under another path."""
    for key in path:
        found = dict(children(node))
        if key not in found:
            return False
        node = found[key]
    return any(node is leaf for leaf in known.values())


def mismatches(known: dict[Path, Any], flat: dict[Path, Any], unknown: Any) -> list[str]:
    """What keeps given values from being written to known leaves, a line each."""
    lines = [f"{_show(path)}: unknown path" for path in unknown]
    for path, value in flat.items():
        if path in known:
            lines += _differences(_show(path), raw(known[path]), raw(value))
    kinds = {type(leaf) for path, leaf in known.items() if path in flat}
    for path, leaf in known.items():
        if type(leaf) in kinds and path not in flat and isinstance(leaf, Variable):
            lines.append(f"{_show(path)}: missing ({type(leaf).__name__})")
    return lines


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if not (hasattr(old, "shape") and hasattr(old, "dtype")):
        return []
    if not hasattr(new, "shape"):
        if isinstance(new, int | float | complex | bool) and old.shape == ():
            return []
        return [f"{name}: expected an array, got {type(new).__name__}"]
    lines = []
    if tuple(old.shape) != tuple(new.shape):
        lines.append(f"{name}: expected shape {tuple(old.shape)}, got {tuple(new.shape)}")
    if old.dtype != new.dtype:
        lines.append(f"{name}: expected dtype {old.dtype}, got {new.dtype}")
    return lines


def raw(leaf: Any) -> Any:
    """The array of a Variable, or the array itself."""
    return leaf.get_raw_value() if isinstance(leaf, Variable) else leaf


def _write(node: Any, path: Path, leaf: Any, value: Any) -> None:
    if isinstance(leaf, Variable):
        leaf = guard.writable(leaf)
        leaf._raw = raw(value)
        if isinstance(value, Variable) and value._meta != leaf._meta:
            leaf._meta = dict(value._meta)
            bump(leaf)
        return
    for key in path[:-1]:
        node = dict(children(node))[key]
    if isinstance(node, list | dict | State):
        node[path[-1]] = value
    else:
        setattr(node, path[-1], value)


def _show(path: Path) -> str:
    return ".".join(map(str, path)) or "the root"


def _mismatch(verb: str, lines: list[str], remedy: str) -> StructureError:
    listing = "".join(f"\n  {line}" for line in lines)
    return StructureError(f"{verb}: {len(lines)} mismatches{listing}", remedy=remedy)


def pop(node: Any, *filters: Any) -> Any:
    """Removes Variables from a graph, and returns them.

    Args:
        node: the graph to change.
        *filters: what to remove, such as `nnx.Intermediate`.

    Returns:
        A State, or one for each of several filters.

    Raises:
        FilterError: there is no filter.
    """
    if not filters:
        raise FilterError("pop needs a filter", remedy="nnx.pop(model, nnx.Intermediate)")
    groups, _ = partition(leaves(node), filters)
    gone = {id(leaf) for group in groups for _, leaf in group}
    for _, parent in list(walk(node)):
        if isinstance(parent, Node):
            _remove(parent, gone)
    states = tuple(from_flat_state(group) for group in groups)
    return states if len(filters) > 1 else states[0]


def _remove(parent: Any, gone: set[int]) -> None:
    keys = [key for key, child in parent._oakum_children() if id(child) in gone]
    for key in reversed(keys):
        if isinstance(parent, list | dict | State):
            del parent[key]
        else:
            delattr(parent, key)


def clone(node: Any, variables: bool = True, *, arrays: bool = False) -> Any:
    """A copy of an object graph.

    Args:
        node: the graph.
        variables: False shares the Variables between the graph and its copy.
        arrays: whether to copy the arrays too. Sharing them is safe: a step copies
            an array that somebody else holds before it overwrites it.
    """
    graph, encoder = encode(node)
    bare = [slot[key] for slot, key in encoder.leaves]
    values = [v.get_raw_value() for v in encoder.variables]
    if arrays:
        values, bare = jax.tree.map(_copy_array, (values, bare))
    if not variables:
        return _Keeping(values, bare, list(encoder.variables)).build(graph.token)
    return decode(graph, values, bare)


def map(f: Callable[[Path, Any], Any], node: Any, *, recreate_variables: bool = True) -> Any:
    """A copy of a graph whose leaves are `f(path, leaf)`.

    Args:
        f: takes a path and a Variable or array; returns one.
        node: the graph.
        recreate_variables: accepted for flax.nnx programs; the copy is always new.
    """
    graph, encoder = encode(node)
    if graph.paths == (((), True),):
        return f((), node)
    new = {path: f(path, leaf) for path, leaf in leaves(node)}
    boxes = [new[p] for p, is_variable in graph.paths if is_variable]
    bare = [new[p] for p, is_variable in graph.paths if not is_variable]
    keep = [
        b if isinstance(b, Variable) else place(object.__new__(type(v)), b, dict(v._meta))
        for b, v in zip(boxes, encoder.variables, strict=True)
    ]
    return _Keeping([None] * len(keep), bare, keep).build(graph.token)


def recursive_map(f: Callable[[Path, Any], Any], node: Any) -> Any:
    """A copy of a graph in which `f(path, value)` replaces every node and leaf.

    Children are mapped before their parent, and shared objects once.

    Args:
        f: takes a path and a node, Variable or array; returns what stands for it.
        node: the graph.
    """
    done: dict[int, Any] = {}

    def visit(value: Any, path: Path) -> Any:
        if id(value) in done:
            return done[id(value)]
        if isinstance(value, Node):
            graph_value = _shallow(value)
            for key, child in children(value):
                if isinstance(child, Node | Variable) or is_array(child):
                    _set_child(graph_value, key, visit(child, (*path, key)))
            done[id(value)] = result = f(path, graph_value)
            return result
        done[id(value)] = result = f(path, value)
        return result

    return visit(node, ())


def _shallow(node: Any) -> Any:
    from ._unflatten import empty

    new = stamp(empty(type(node)))
    pairs = dict(node._oakum_children())
    order = tuple(node._oakum_order())
    new._oakum_fill(order, [pairs[key] for key in order])
    new._marks = node._marks
    return new


def _set_child(node: Any, key: Any, child: Any) -> None:
    if isinstance(node, list | dict | State):
        node[key] = child
    else:
        setattr(node, key, child)


def find_duplicates(node: Any, *, only: Any = ...) -> list[list[Path]]:
    """The paths of each shared Variable or node that has several.

    Args:
        node: the graph.
        only: a filter for what to look at.
    """
    predicate = to_predicate(only)
    found: dict[int, list[Path]] = {}

    def visit(value: Any, path: Path) -> None:
        if isinstance(value, Node | Variable) and predicate(path, value):
            paths = found.setdefault(id(value), [])
            paths.append(path)
            if len(paths) > 1:
                return
        for key, child in children(value):
            visit(child, (*path, key))

    visit(node, ())
    return [paths for paths in found.values() if len(paths) > 1]


def set_metadata(node: Any, *, only: Any = Variable, **metadata: Any) -> None:
    """Sets metadata on the Variables of a graph, in place.

    Args:
        node: the graph.
        only: a filter for which.
        **metadata: names and values.
    """
    predicate = to_predicate(only)
    for path, leaf in leaves(node):
        if isinstance(leaf, Variable) and predicate(path, leaf):
            leaf.set_metadata(**metadata)


def with_attributes(
    node: Any, *, only: Any = ..., raise_if_not_found: bool = True, **attributes: Any
) -> Any:
    """A copy of a graph with other attributes; it shares the Variables.

    Args:
        node: the graph.
        only: a filter for which nodes.
        raise_if_not_found: whether an attribute that no node has is an error.
        **attributes: names and values.
    """
    new = clone(node, variables=False)
    set_attributes(new, only, raise_if_not_found=raise_if_not_found, **attributes)
    return new


def set_attributes(
    node: Any, *filters: Any, raise_if_not_found: bool = True, **attributes: Any
) -> None:
    """Sets attributes on every node of a graph that has them, in place.

    Args:
        node: the graph.
        *filters: which nodes; all where there are none.
        raise_if_not_found: whether an attribute that no node has is an error.
        **attributes: names and values, such as `deterministic=True`.

    Raises:
        FilterError: no selected node has one of the attributes.
    """
    predicate = to_predicate(filters or ...)
    missing = set(attributes)
    for path, module in list(walk(node)):
        if not isinstance(module, Node) or isinstance(module, list | dict | State):
            continue
        if predicate(path, module):
            for name, value in attributes.items():
                if hasattr(module, name):
                    missing.discard(name)
                    setattr(module, name, value)
    if missing and raise_if_not_found:
        raise FilterError(
            f"No selected module has the attributes {sorted(missing)}",
            remedy="check the names and filters, or give raise_if_not_found=False.",
        )
