"""The flags by which flax.nnx chooses a mode: taken, and without effect.

There is one mode here. A program that has `graph=False` or `graph_updates=False` runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ._traceback import trim

F = TypeVar("F", bound=Callable[..., Any])


def modeless(function: F) -> F:
    """A transform that also takes `graph` and `graph_updates`, and ignores them."""

    @functools.wraps(function)
    def call(
        *args: Any, graph: Any = None, graph_updates: Any = None, **kwargs: Any
    ) -> Any:
        del graph, graph_updates
        try:
            return function(*args, **kwargs)
        except Exception as error:
            trim(error)
            raise

    return call  # type: ignore[return-value]
