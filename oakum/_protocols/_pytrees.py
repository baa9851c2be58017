"""Registers nodes and Variables as JAX pytrees.

A node flattens as a graph: its children are its Variables (each a pytree of its own)
and bare arrays, each once, so that tied weights stay tied.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import _guard as guard
from .._compat import EAGER, tracing
from .._graph._graphdef import GraphDef, Path
from .._graph._snapshot import encode_and_keep, snapshot_of
from .._graph._unflatten import Decoder
from .._guard import ROOT, active, consuming, copies
from .._objects._containers import Dict, List
from .._objects._module import ON_SUBCLASS, Module, Pytree
from .._objects._nodes import Node
from .._objects._vars import Attributes
from .._objects.variables._kinds import (
    BatchStat,
    Cache,
    Intermediate,
    OptArray,
    OptState,
    OptVariable,
    Param,
    Perturbation,
    RngCount,
    RngKey,
    RngState,
)
from .._objects.variables._variable import Variable, place
from .._repr import path_text
from .._state._state import FlatState, State
from .._statics._static import Static
from ._parts import joined, keyed, layout_of, parted
from ._replaced import note_replaced, replaced

_VALUE = jax.tree_util.GetAttrKey("value")


class GraphKey:
    """The path of a leaf below a node, as one key of a pytree path."""

    __slots__ = ("path",)

    def __init__(self, path: Path):
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphKey) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __str__(self) -> str:
        return path_text(self.path)

    __repr__ = __str__


def _flatten(node: Any) -> tuple[list, GraphDef]:
    if (known := replaced(node)) is not None:
        children, graphdef = known
        return parted(layout_of(graphdef), children), graphdef
    if (found := snapshot_of(node)) is not None:
        graphdef, variables_now = found
        return parted(layout_of(graphdef), variables_now), graphdef
    graphdef, encoder = encode_and_keep(node, marked_whole=True)
    if copies:
        guard.note_flatten(encoder.objects)
    variables = iter(encoder.variables)
    bare = iter(encoder.leaves)
    children = []
    for _, is_variable in graphdef.paths:
        if is_variable:
            children.append(next(variables))
        else:
            slot, key = next(bare)
            children.append(slot[key])
    return parted(layout_of(graphdef), children), graphdef


def _flatten_with_keys(node: Any) -> tuple[list, GraphDef]:
    children, graphdef = _flatten(node)
    return keyed(layout_of(graphdef), children), graphdef


class _FromChildren(Decoder):
    """Takes Variables, or whatever JAX puts in their place, as they are."""

    def _variable(self, token: tuple) -> Any:
        child = next(self.variables)
        self.objects[token[2]] = child
        return child


def _unflatten(graphdef: GraphDef, children: Any) -> Any:
    children = joined(children)
    pairs = list(zip(graphdef.paths, children, strict=True))
    boxes = [child for (_, is_variable), child in pairs if is_variable]
    bare = [child for (_, is_variable), child in pairs if not is_variable]
    decoder = _FromChildren(boxes, bare)
    node = decoder.build(graphdef.token)
    note_replaced(node, graphdef, pairs)
    nodes = [obj for obj in decoder.objects.values() if isinstance(obj, Node)]
    guard.note_copies(nodes)
    if guard.copies:
        guard.note_parts(node, nodes, [()] * len(nodes))
        guard.note_parts(node, children, [path for path, _ in graphdef.paths])
    return node


def _register_node(cls: type) -> None:
    jax.tree_util.register_pytree_with_keys(
        cls, _flatten_with_keys, _unflatten, _flatten
    )


def _register_variable(cls: type) -> None:
    def flatten(variable: Any) -> tuple:
        if (
            variable._oakum_mark is not ROOT
            or active
            or copies
            or consuming
            or tracing.value is not EAGER
        ):
            if copies:
                guard.note_flatten((variable,))
            with guard.handing_out(to_trees=True):  # shapes may be all that is wanted
                value = variable.get_raw_value()
        else:
            value = variable._raw
        # None: JAX compares it with that of the last call, for each Variable.
        return (value,), Static(variable._meta) if variable._meta else None

    def flatten_with_keys(variable: Any) -> tuple:
        children, meta = flatten(variable)
        return ((_VALUE, *children),), meta

    def unflatten(meta: Static | None, children: Any) -> Any:
        own = {} if meta is None else dict(meta.value)
        new = place(object.__new__(cls), children[0], own)
        guard.note_copies((new,))
        return new

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)


def _subclass_hook(base: type, register: Any) -> None:
    """Registers every later subclass of a base as well."""
    inherited = base.__dict__.get("__init_subclass__")

    def __init_subclass__(cls: type, **kwargs: Any) -> None:
        if inherited is not None:
            inherited.__func__(cls, **kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        register(cls)

    base.__init_subclass__ = classmethod(__init_subclass__)  # type: ignore[assignment]


for _cls in (
    Variable,
    Param,
    BatchStat,
    Cache,
    Intermediate,
    Perturbation,
    RngState,
    RngKey,
    RngCount,
    OptState,
    OptArray,
    OptVariable,
):
    _register_variable(_cls)
for _cls in (Pytree, Module, List, Dict):
    _register_node(_cls)
for _base in (List, Dict, State):
    _subclass_hook(_base, _register_node)
_subclass_hook(Variable, _register_variable)
ON_SUBCLASS.append(_register_node)


def _flatten_state(state: State) -> tuple[list, tuple]:
    content = state._mapping
    try:
        keys = tuple(sorted(content))
    except TypeError:  # of several types
        keys = tuple(content)
    return [content[key] for key in keys], keys


def _flatten_state_with_keys(state: State) -> tuple[list, tuple]:
    pairs = state._oakum_children()
    keyed = [(jax.tree_util.DictKey(key), child) for key, child in pairs]
    return keyed, tuple([key for key, _ in pairs])


def _unflatten_state(keys: tuple, children: Any) -> State:
    state = State()
    state._oakum_fill(dict(zip(keys, children, strict=True)))
    return state


jax.tree_util.register_pytree_with_keys(
    State, _flatten_state_with_keys, _unflatten_state, _flatten_state
)


def _flatten_flat_state(flat: FlatState) -> tuple[list, tuple]:
    return list(flat.leaves), flat.paths


def _flatten_flat_state_with_keys(flat: FlatState) -> tuple[list, tuple]:
    keyed = [(GraphKey(path), leaf) for path, leaf in flat]
    return keyed, flat.paths


def _unflatten_flat_state(paths: tuple, children: Any) -> FlatState:
    return FlatState(zip(paths, children, strict=True))


jax.tree_util.register_pytree_with_keys(
    FlatState, _flatten_flat_state_with_keys, _unflatten_flat_state, _flatten_flat_state
)


def _attributes_with_keys(attributes: dict[str, Any]) -> tuple[list, tuple]:
    names = tuple(sorted(attributes))
    return [(jax.tree_util.DictKey(name), attributes[name]) for name in names], names


# `vars(module)` is a pytree as a dict is one, and comes back as a dict.
jax.tree_util.register_pytree_with_keys(
    Attributes,
    _attributes_with_keys,
    lambda names, values: dict(zip(names, values, strict=True)),
)
