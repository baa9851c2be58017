"""GraphState: a State together with the structure that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Generic

import jax

from .._graph._graphdef import GraphDef
from .._typing import M
from ._state import State

PureState = tuple[GraphDef[M], State]
"""What `split` returns for one State."""


class GraphState(MutableMapping, Generic[M]):
    """A State that knows the structure it belongs to: `merge` takes it alone.

    It is read and written like its State, and is a pytree of it.

    Args:
        graphdef: the structure.
        state: the state, or a part of it.

    Example:
        >>> import oakum as nnx
        >>> state = nnx.unpack(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> state.kernel.shape, type(nnx.merge(state)).__name__
        ((2, 3), 'Linear')
    """

    __slots__ = ("_graphdef", "_state")
    _graphdef: GraphDef[M]
    _state: State

    def __init__(self, graphdef: GraphDef, state: State):
        object.__setattr__(self, "_graphdef", graphdef)
        object.__setattr__(self, "_state", state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in GraphState.__slots__:
            raise AttributeError(name)
        return getattr(self._state, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._state, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __reduce__(self):
        return GraphState, (self._graphdef, self._state)

    def __repr__(self) -> str:
        return f"GraphState({self._graphdef!r}, {self._state!r})"

    __hash__ = None  # type: ignore[assignment]


def register(cls: Any, child: str, structure: str) -> None:
    """Makes a class `cls(structure, child)` a pytree of one of its attributes."""
    key = jax.tree_util.GetAttrKey(child)
    jax.tree_util.register_pytree_with_keys(
        cls,
        lambda x: (((key, getattr(x, child)),), getattr(x, structure)),
        lambda graphdef, children: cls(graphdef, *children),
        lambda x: ((getattr(x, child),), getattr(x, structure)),
    )


register(GraphState, "_state", "_graphdef")
