"""GraphDef: the hashable description of a graph of nodes.

It holds types, names, static values, Variable types and metadata, and which references
are shared; no arrays. It is a tree of tokens, plain tuples that start with one of the
tags below. GraphDefs are interned: equal ones are one object, so that comparing two is
comparing identities.

    (NODE, form, index, children)     the children that its form leaves open
    (REF, index)                      a node or Variable met before
    (VAR, type, index, metadata)
    (LEAF,)                           an array, or a number where that is data
    (STATIC, value)
    (TREE, type, treedef, keys, children)   an immutable pytree
    (ARG, i)                          the i-th dynamic argument of a call
    (KEPT,)                           what a node in place has there already
    (OWN, index, keys)                what a node in place has elsewhere
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic

import jax

from .._typing import M
from ._form import Form

if TYPE_CHECKING:
    from typing import Protocol

    from ._definitions import NodeDef, VariableDef

    class Applied(Protocol[M]):
        """What stands for an object that is apart."""

        def __getattr__(self, name: str) -> Applied[M]: ...
        def __getitem__(self, key: Any) -> Applied[M]: ...
        def __call__(
            self, *args: Any, **kwargs: Any
        ) -> tuple[Any, tuple[GraphDef[M], Any]]: ...


NODE, REF, VAR, LEAF, STATIC, TREE, ARG, KEPT, OWN = range(9)

Path = tuple[Any, ...]
_interned: weakref.WeakValueDictionary[Any, GraphDef[Any]] = (
    weakref.WeakValueDictionary()
)
_lock = threading.Lock()


@jax.tree_util.register_static
class GraphDef(Generic[M]):
    """The structure of an object graph; `split` makes it and `merge` takes it.

    Example:
        >>> import oakum as nnx
        >>> a = nnx.graphdef(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> b = nnx.graphdef(nnx.Linear(2, 3, rngs=nnx.Rngs(1)))
        >>> a is b, a.num_leaves
        (True, 2)
    """

    __slots__ = (
        "__weakref__",
        "_blueprint",
        "_digest",
        "_layout",
        "_paths",
        "_same",
        "token",
    )
    if TYPE_CHECKING:  # `_state` adds it

        def apply(self, state: Any, *states: Any) -> Applied[M]: ...

    token: Any
    _blueprint: Any  # how `merge` builds it, kept by `_blueprint`
    _layout: Any  # of the leaves below a node, kept by `_protocols._parts`

    def __new__(cls, token: Any, own: bool = False) -> GraphDef[M]:
        """The GraphDef of a token; `own` where its static values can be edited.

        Then it is one by itself, equal to the interned one: what `merge` puts into the
        new graph are these values, not those of another graph that equalled them.
        """
        known = cls._interned_of(token)
        if not own:
            return known
        new = object.__new__(cls)
        new.token, new._digest, new._paths, new._same = token, None, None, known
        new._blueprint = None
        new._layout = None
        return new

    @classmethod
    def _interned_of(cls, token: Any) -> GraphDef[M]:
        with _lock:
            known = _interned.get(token)
            if known is None:
                known = object.__new__(cls)
                known.token = token
                known._digest = known._layout = known._blueprint = None
                known._paths = known._same = None
                _interned[token] = known
        return known

    @property
    def paths(self) -> tuple[tuple[Path, bool], ...]:
        """Path of each leaf in canonical order, and whether it is a Variable."""
        if self._same is not None:
            return self._same.paths
        if self._paths is None:
            pairs = leaf_tokens(self.token)
            self._paths = tuple([(path, token[0] == VAR) for path, token in pairs])
        return self._paths

    @property
    def nodes(self) -> tuple[NodeDef | VariableDef, ...]:
        """Nodes and Variables in canonical order, each once; the root comes first."""
        from ._definitions import definitions

        return tuple(definitions(self.token))

    @property
    def num_leaves(self) -> int:
        """The number of Variables and bare leaves."""
        return len(self.paths)

    def __hash__(self) -> int:
        # By content and not by address, so that it is the same in every process.
        if self._same is not None:
            return hash(self._same)
        if self._digest is None:
            text = stable_text(self.token).encode()
            digest = hashlib.blake2b(text, digest_size=7).digest()
            self._digest = int.from_bytes(digest, "big")
        return self._digest

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, GraphDef) or not (self._same or other._same):
            return False
        return (self._same or self) is (other._same or other)

    def __reduce__(self):
        return GraphDef, (self.token, self._same is not None)

    def __copy__(self) -> GraphDef[M]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphDef[M]:
        return self

    def __repr__(self) -> str:
        tag, kind = self.token[0], "leaf"
        if tag in (NODE, TREE):
            kind = (self.token[1].cls if tag == NODE else self.token[1]).__name__
        return f"GraphDef({kind}, num_leaves={self.num_leaves}, hash={hash(self):x})"


def leaf_tokens(token: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Path and token of each Variable and bare leaf, in canonical order."""
    tag = token[0]
    if tag in (VAR, LEAF):
        yield path, token
    elif tag == NODE:
        for (key, _), child in zip(token[1].open, token[3], strict=True):
            yield from leaf_tokens(child, (*path, key))
    elif tag == TREE:
        for key, child in zip(token[3], token[4], strict=True):
            yield from leaf_tokens(child, (*path, key))


def stable_text(token: Any) -> str:
    """A token as text without addresses."""
    if isinstance(token, Form):
        token = token.__reduce__()[1]
    if isinstance(token, tuple):
        return f"({','.join(map(stable_text, token))})"
    if isinstance(token, type):
        return f"{token.__module__}.{token.__qualname__}"
    value = getattr(token, "value", token)
    return _value_text(value)


def _value_text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"({','.join(map(_value_text, value))})"
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(map(_value_text, value)))}}}"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{_value_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return f"{getattr(value, '__module__', '')}.{name}"
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
