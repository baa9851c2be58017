"""Snapshot: a node that was taken apart, for as long as it stays as it is.

JAX asks for the leaves of a model each time that it meets one: in each call of a
function of plain `jax.jit`, in each `jax.tree.map`. To take it apart anew takes 1 µs
for each Variable; to see that nothing changed takes a comparison.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import call, is_
from types import MappingProxyType
from typing import Any

from .._compat import EAGER, tracing
from .._guard import active, copies
from .._objects._classes import class_edits
from .._objects._nodes import SNAPSHOT
from .._objects._version import clock, versions
from .._statics._bypassed import bypassed
from .._statics._looks import Part, unchanged
from .._statics._static import places_of
from ._flatten import Encoder, Home, encode
from ._graphdef import GraphDef
from ._looks import Looks
from ._match import holds, object_tokens, of_classes_now

_NONE: Mapping[int, Home] = MappingProxyType({})
_read = object.__getattribute__  # past what the guard does at each access


class Snapshot:
    """The structure and the Variables of a node, which keeps it.

    So what it refers to, such as a list with the node in it, goes with the node. Nodes
    and Variables it does not keep alive: they may be removed from the node.

    Args:
        graphdef: the structure.
        objects, variables: its objects by index, and its Variables.
        plain: where each plain list or dict among them stands.
        trees: the pytrees of JAX with parts of it.
    """

    __slots__ = (
        "_checked",
        "_edits",
        "_objects",
        "_parts",
        "_plain",
        "_tokens",
        "_variables",
        "_versions",
        "graphdef",
    )

    def __init__(
        self,
        graphdef: GraphDef,
        objects: list[Any],
        variables: list[Any],
        plain: Mapping[int, Home] = _NONE,
        trees: Iterable[Any] = (),
    ):
        self._checked, self._edits = clock.now, class_edits.now
        self.graphdef = graphdef
        self._plain = Looks(plain, objects)
        self._objects = self._plain.watch(objects)
        self._variables = list(map(weakref.ref, variables))
        self._versions = self._versions_of(objects)
        self._tokens: dict[int, Any] | None = None
        self._parts: list[Part] = [p for tree in trees for p in places_of(tree)]

    def variables(self) -> list[Any] | None:
        """The Variables in canonical order; None where the node is not as it was."""
        return list(map(call, self._variables)) if self._stands() else None

    def objects(self) -> list[Any] | None:
        """All objects by index; None where the node is not as it was."""
        if not self._stands():
            return None
        objects = list(map(call, self._objects))
        self._plain.fill_in(objects)
        return objects

    def _stands(self) -> bool:
        now = clock.now
        if self._parts and not unchanged(self._parts):
            return False
        if self._plain and not self._plain.hold():
            return False
        if self._edits != class_edits.now:
            if not of_classes_now(self.graphdef.token):
                return False
            self._edits = class_edits.now
        return self._checked == now or self._still_holds(now)

    def _versions_of(self, objects: list[Any]) -> list[int]:
        found = versions(objects)
        self._plain.fill_in(found, 0)
        return found

    def _still_holds(self, now: int) -> bool:
        objects = list(map(call, self._objects))
        if self._plain:
            self._plain.fill_in(objects)
        if any(map(is_, objects, repeat(None))):
            return False
        found = self._versions_of(objects)
        if found != self._versions:
            if self._tokens is None:
                tokens = object_tokens(self.graphdef.token)
                self._tokens = {token[2]: token for token in tokens}
            edited = [i for i, old in enumerate(self._versions) if found[i] != old]
            if not all([holds(self._tokens[i], objects[i], objects) for i in edited]):
                return False
            self._versions = found
        self._checked = now
        return True


def snapshot_of(node: Any) -> tuple[GraphDef, list[Any]] | None:
    """The structure and the Variables of a node that was kept, if it is as it was."""
    known = _kept(node) if _may_keep() else None
    if known is None or (variables := known.variables()) is None:
        return None
    return known.graphdef, variables


def objects_of(node: Any, graphdef: GraphDef | None) -> list[Any] | None:
    """All objects of a node by index, if it is known to have this structure now."""
    if graphdef is None or bypassed.on:
        return None
    known = _kept(node)
    if known is None or known.graphdef is not graphdef:
        return None
    return known.objects()


def _kept(node: Any) -> Snapshot | None:
    try:
        return _read(node, SNAPSHOT)
    except AttributeError:
        return None


def _may_keep() -> bool:
    """Whether what is found of a node now holds as long as nobody edits it.

    Inside of a trace objects stand for others, JAX's copies are followed, and where a
    program sets attributes past `__setattr__`, nobody sees it.
    """
    return not (active or copies or bypassed.on) and tracing.value is EAGER


def encode_and_keep(node: Any, **options: Any) -> tuple[GraphDef, Encoder]:
    """As `encode`; keeps what was found, for the next time.

    Not where a node holds bare arrays, which are no Variables to be read anew; nor
    closures and the like, since structures are interned by them, and they may refer to
    the node.

    Args:
        node: any value.
        **options: those of `encode`.
    """
    graphdef, encoder = encode(node, **options)
    if _may_keep() and not (encoder.leaves or encoder.statics):
        objects, variables = encoder.objects, encoder.variables
        put_snapshot(node, graphdef, objects, variables, encoder.plain, encoder.trees)
    return graphdef, encoder


def put_snapshot(node: Any, graphdef: GraphDef, *what: Any) -> None:
    """Keeps a Snapshot of a node, where its class has a place for one."""
    if hasattr(type(node), SNAPSHOT):
        object.__setattr__(node, SNAPSHOT, Snapshot(graphdef, *what))
