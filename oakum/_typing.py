"""Names for types that stand in many signatures, ours and those of programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

Dtype = Any
"""What `jnp.dtype` takes: `jnp.float32`, `'bfloat16'`, `np.dtype(...)`."""

Shape = tuple[int, ...]

PrecisionLike = Any
"""What the `precision` argument of `jax.lax.dot_general` takes."""

Initializer = Callable[..., Any]
"""A function of key, shape and dtype that returns an array."""

Axes = int | tuple[int, ...]

P = ParamSpec("P")
"""The parameters of a function that a transform takes, and gives back."""

R = TypeVar("R")
"""What such a function returns."""

F = TypeVar("F", bound=Callable[..., Any])
"""A function that comes back with the type it had."""

Filter = (
    type[Any]
    | str
    | bool
    | EllipsisType
    | Callable[[tuple[Any, ...], Any], bool]
    | Sequence["Filter"]
    | Set["Filter"]
    | None
)
"""What selects leaves of a graph, as `_state._filters` reads it."""

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    M = TypeVarWithDefault("M", default=Any)
    K = TypeVarWithDefault("K", default=Any)
    V = TypeVarWithDefault("V", default=Any)
else:
    M, K, V = TypeVar("M"), TypeVar("K"), TypeVar("V")

Node = TypeVar("Node")

Key = Any
"""One step of a path: a name, or an index."""

Leaf = Any

PathParts = tuple[Key, ...]

Predicate = Callable[[PathParts, Any], bool]

FilterLiteral = type | str | Predicate | bool | EllipsisType | None
