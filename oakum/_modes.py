"""Flags of flax.nnx that choose a mode: they are taken, and have hardly an effect.

In flax.nnx `graph=` and `graph_updates=` select one of three implementations, and some
functions want them, since they refuse the default. Here is one implementation, which
does what each of them does; only the form of a gradient follows the flag. So every
public function takes both flags by one decorator, `takes_modes`, and the contexts that
set them for a block are here as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_modes(function: Function) -> Function:
    """A function that takes `graph` and `graph_updates` too, and leaves them.

    A function that has them as parameters of its own gets them.
    """
    if "graph" in inspect.signature(function).parameters:
        return function

    @functools.wraps(function)
    def call(
        *args: Any,
        graph: bool | None = None,
        graph_updates: bool | None = None,
        **kw: Any,
    ) -> Any:
        return function(*args, **kw)

    return call  # type: ignore[return-value]


class _Mode:
    """A context that sets a flag of flax.nnx; a call sets it for good, as there."""

    default = True

    def __init__(self, value: bool):
        self.value = value

    def __enter__(self) -> _Mode:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, function: Function) -> Function:
        return function

    @classmethod
    def current_value(cls) -> bool:
        """What holds here, whatever was set."""
        return cls.default

    get_default = current_value


class set_graph_mode(_Mode):
    """Takes flax.nnx's choice between graphs and trees, which has no effect.

    Args:
        value: taken and left.

    Example:
        >>> import oakum as nnx
        >>> with nnx.set_graph_mode(False):
        ...     float(nnx.grad(lambda x: x**2)(3.0))
        6.0
    """


class set_graph_updates(_Mode):
    """Takes flax.nnx's choice whether transforms update graphs, which has no effect.

    Args:
        value: taken and left; here they always do.

    Example:
        >>> import oakum as nnx
        >>> nnx.set_graph_updates.current_value()
        True
    """


class _Flags(dict[str, bool]):
    """Flags by name, also as attributes."""

    __getattr__ = dict.__getitem__


def var_defaults(*, hijax: bool | None = None, ref: bool | None = None) -> Any:
    """The flags of Variables in flax.nnx, all off; or a context that sets them.

    Args:
        hijax, ref: taken and left.

    Returns:
        A mapping of the flags, or a context where one is given.

    Example:
        >>> import oakum as nnx
        >>> dict(nnx.var_defaults())
        {'hijax': False, 'ref': False}
    """
    if hijax is None and ref is None:
        return _Flags(hijax=False, ref=False)
    return _Mode(bool(hijax or ref))
