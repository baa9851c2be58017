"""What type checkers are told of functions that transforms return. Never imported.

A module names these under `if TYPE_CHECKING`, and at run time there is only the
function that the transform made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

import jax
from jax.typing import ArrayLike

from ._typing import P, R

Q = ParamSpec("Q")
T = TypeVar("T")
Result = TypeVar("Result", covariant=True)
Loss = TypeVar("Loss", bound=ArrayLike)
Pull = Callable[[Any], tuple[Any, ...]]


class JitWrapped(Generic[P, Result]):
    """A compiled function: called as the function itself."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...

    @overload
    def __get__(self, instance: None, owner: Any = None, /) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[T, Q], R], instance: T, owner: Any = None, /
    ) -> Callable[Q, R]: ...
    @overload  # in a staticmethod
    def __get__(self, instance: object, owner: Any = None, /) -> Self: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...

    # Shapes may stand for arrays in the arguments of these.
    def trace(self, *args: Any, **kwargs: Any) -> jax.stages.Traced: ...
    def lower(self, *args: Any, **kwargs: Any) -> Lowered[P, Result]: ...
    def eval_shape(self, *args: Any, **kwargs: Any) -> Result: ...
    def clear_cache(self) -> None: ...
    def explain(self) -> str: ...
    def _cache_size(self) -> int: ...


class Lowered(jax.stages.Lowered, Generic[P, Result]):
    """A lowered function of objects."""

    def compile(self, *args: Any, **kwargs: Any) -> Compiled[P, Result]: ...


class Compiled(jax.stages.Compiled, Generic[P, Result]):
    """A compiled function of objects."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result: ...


class Transformation(Protocol):
    """An `optax.GradientTransformation`, by what it has to have."""

    @property
    def init(self) -> Callable[..., Any]: ...
    @property
    def update(self) -> Callable[..., Any]: ...
