"""What all transforms take besides their own arguments, and how they are called.

Flags of flax.nnx for a mode are taken and left. A transform whose first parameter is
`MISSING` by default is also a decorator with arguments: without the function it gives a
transform that has the other arguments already.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from .._modes import takes_modes
from ._traceback import trimmed

F = TypeVar("F", bound=Callable[..., Any])
Options = ParamSpec("Options")

MISSING: Any = object()


class Keeping(Protocol[Options]):
    """A transform whose results have the signature of the function; for type checkers.

    Its own options stand once, in the function that carries it out.
    """

    @overload
    def __call__(self, f: F, /, *args: Options.args, **kwargs: Options.kwargs) -> F: ...
    @overload
    def __call__(
        self, *args: Options.args, **kwargs: Options.kwargs
    ) -> Callable[[F], F]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def keeping(transform: Callable[Concatenate[Any, Options], Any]) -> Keeping[Options]:
    """As `modeless`, for a transform that keeps the signature of the function."""
    kept: Any = modeless(transform)
    return kept


def modeless(transform: F) -> F:
    """The transform, with what all of them take; it shows no frame of that."""
    first = next(iter(inspect.signature(transform).parameters.values()))
    if first.default is not MISSING:
        return trimmed(takes_modes(transform))  # type: ignore[return-value]

    @functools.wraps(transform)
    def with_function(*args: Any, **options: Any) -> Any:
        if args or first.name in options:
            return transform(*args, **options)
        return functools.partial(whole, **options)

    whole: Any = trimmed(takes_modes(with_function))
    return whole
