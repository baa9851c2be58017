"""merge: structure and state to objects, with the Variables of the state in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _guard as guard
from .._compat import ConcreteArray
from .._graph._blueprint import blueprint_of
from .._graph._graphdef import GraphDef, Path
from .._graph._unflatten import Decoder
from .._objects.variables._owned import owned
from .._objects.variables._variable import Variable
from .._typing import M
from ..errors import ArgumentError, ArgumentValueError, StructureError
from ._graph_state import GraphState
from ._state import FlatState, State
from ._update import flat_leaves, mismatch_error, raw, show


def merge(
    graphdef_or_graphstate: GraphDef[M] | GraphState[M],
    /,
    *states: Any,
    copy: bool = False,
    recreate_variables: bool = True,
) -> M:
    """Builds an object graph from its structure and its state: `split` undone.

    The Variables of the States are those of the new graph, so that what is written to
    either is seen in both. In a transform, those of a State that it captures are
    copied, and what is written to the copy is to be returned.

    Args:
        graphdef_or_graphstate: the GraphDef; or a GraphState, and then the others too.
        *states: States that hold every leaf together, of Variables or of arrays.
        copy: whether to make new Variables, of copied arrays.
        recreate_variables: False puts an array where the State has one; by default it
            becomes a Variable of the type that the structure has there.

    Raises:
        ArgumentError: no GraphDef, or no State.
        StructureError: leaves are missing, surplus or given twice; lists them all.
        ArgumentValueError: GraphStates of several structures.

    Example:
        >>> import oakum as nnx
        >>> graphdef, state = nnx.split(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> nnx.merge(graphdef, state).kernel is state.kernel
        True
    """
    graph, states = apart(graphdef_or_graphstate, states)
    boxes, bare = gathered(graph, states)
    if copy:
        boxes = [_copied(box) for box in boxes]
        bare = jax.tree.map(copy_array, bare)
    given = all(map(_is_own, boxes)) and guard.all_eager(boxes)
    if given and (blueprint := blueprint_of(graph)) is not None:
        return blueprint.build(boxes, bare)
    merging = Merging(boxes, bare, recreate_variables)
    merged = merging.build(graph.token)
    if merging.copies:
        paths = [path for path, is_variable in graph.paths if is_variable]
        guard.note_merged([(made, paths[n]) for n, made in merging.copies])
    return merged


def apart(first: Any, states: tuple) -> tuple[GraphDef, tuple]:
    """The GraphDef and the States of what `merge` was given."""
    if isinstance(first, GraphState):
        states = (first, *states)
        others = [x for x in states if getattr(x, "_graphdef", None) != first._graphdef]
        if others:
            raise ArgumentValueError(
                "merge takes GraphStates of one structure, got a "
                f"{type(others[0]).__name__} of another after the first",
                remedy="nnx.merge(*nnx.unpack(model, nnx.Param, ...)).",
            )
        return first._graphdef, states
    if not isinstance(first, GraphDef):
        raise ArgumentError(
            f"merge takes a GraphDef first, got {type(first).__name__}",
            remedy="nnx.merge(graphdef, state, ...), as nnx.split returns them.",
        )
    if not states:
        raise ArgumentError(
            f"merge got {first!r} alone, without a State",
            remedy="nnx.merge(graphdef, state, ...), as nnx.split returns them.",
        )
    return first, states


def gathered(graph: GraphDef, states: tuple) -> tuple[list, list]:
    """The leaves of a structure, from States.

    Returns:
        What stands for each Variable, which may be one or its value, and each bare
        leaf, in canonical order.

    Raises:
        StructureError: leaves are missing, surplus or given twice; lists them all.
    """
    flat: dict = {}
    for part in states:
        own = _leaves_of(graph, part)
        twice = flat.keys() & own.keys() if flat else ()
        if twice:
            lines = [f"given twice: {show(path)}" for path in sorted(twice, key=str)]
            raise mismatch_error("merge", lines, "give merge each leaf once.")
        flat = {**flat, **own} if flat else own
    paths = [path for path, _ in graph.paths]
    missing = [p for p in paths if p not in flat]
    if missing or len(flat) != len(paths):
        raise _other_leaves(missing, set(flat) - set(paths))
    boxes = [flat[p] for p, is_variable in graph.paths if is_variable]
    bare = [raw(flat[p]) for p, is_variable in graph.paths if not is_variable]
    return boxes, bare


def _leaves_of(graph: GraphDef, part: Any) -> dict:
    """The leaves by path of one of the States that `merge` is given."""
    if isinstance(part, list):
        return _in_order(graph, part)
    if is_leaf(graph) and not isinstance(part, FlatState | State | GraphState):
        return {(): part}
    found: dict = {}
    if type(part) is State and _gather(part, (), found):
        return found
    return dict(flat_leaves(part))


def _other_leaves(missing: list[Path], surplus: set[Path]) -> StructureError:
    """The error for leaves that are not those of the structure."""
    from .._elsewhere import of_missing

    lines = [f"missing {show(p)}{of_missing(p)}" for p in missing]
    lines += [f"surplus {show(p)}" for p in sorted(surplus, key=str)]
    remedy = "give merge all the States that split returned."
    return mismatch_error("merge", lines, remedy)


def _gather(state: State, path: Path, flat: dict) -> bool:
    """Adds the leaves of a State by path; False where it holds dicts of others."""
    for key, value in state._mapping.items():
        if type(value) is State:
            if not _gather(value, (*path, key), flat):
                return False
        elif isinstance(value, Variable) or not isinstance(value, Mapping):
            flat[*path, key] = value
        else:
            return False
    return True


def _in_order(graph: GraphDef, values: list) -> dict:
    """The leaves of a structure by path, from a list in canonical order."""
    if len(values) != graph.num_leaves:
        raise StructureError(
            f"unflatten: expected {graph.num_leaves} leaves, got {len(values)}",
            remedy="give it the list that nnx.flatten(model, with_paths=False) "
            "returned with this GraphDef.",
        )
    return dict(zip([path for path, _ in graph.paths], values, strict=True))


def _copied(box: Any) -> Any:
    """A new Variable of a copied array, or a copied array."""
    if isinstance(box, Variable):
        return box.replace(copy_array(box.get_raw_value()))
    return jax.tree.map(copy_array, box)


def is_leaf(graphdef: GraphDef) -> bool:
    """Whether it describes a Variable or an array alone, which has no path."""
    return graphdef.num_leaves == 1 and graphdef.paths[0][0] == ()


def _is_own(box: Any) -> bool:
    """Whether it is a Variable with an array that nobody else writes to."""
    return issubclass(type(box), Variable) and type(box._raw) is ConcreteArray


class Merging(Decoder):
    """Puts the given Variables in the graph, where they belong to the running trace.

    Args:
        boxes: for each Variable one to put there, or a value.
        bare: the bare leaves.
        recreate: whether a value becomes a Variable of the structure's type, and one of
            another trace a new one; else both are put there as they are.
    """

    __slots__ = ("boxes", "copies", "recreate")

    def __init__(self, boxes: list, bare: list, recreate: bool = True):
        super().__init__((), bare)
        self.boxes = iter(enumerate(boxes))
        self.recreate = recreate
        self.copies: list[tuple[int, Variable]] = []  # of what is of another trace

    def _variable(self, token: tuple) -> Any:
        number, box = next(self.boxes)
        if isinstance(box, Variable):
            # What a State holds of NumPy's may be written to by others.
            own = None if isinstance(box._raw, np.ndarray) else guard.own(box)
            if own is None and self.recreate:
                own = box.replace(raw(box))
                self.copies.append((number, own))
            elif own is None:
                own = box
            self.objects[token[2]] = own
            return own
        if not self.recreate:
            self.objects[token[2]] = box
            return box
        self.variables = iter((owned(box),))
        return super()._variable(token)


class Keeping(Decoder):
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


def copy_array(x: Any) -> Any:
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        # `x.copy()` of a concrete key fails inside of a trace.
        data = jnp.copy(jax.random.key_data(x))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    return x.copy() if hasattr(x, "copy") else x
