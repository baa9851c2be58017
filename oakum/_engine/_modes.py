"""Transforms take flax.nnx's flags for a mode, and show no frame of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .._modes import takes_modes
from ._traceback import trimmed

F = TypeVar("F", bound=Callable[..., Any])


def modeless(function: F) -> F:
    """A transform that also takes `graph` and `graph_updates`, and ignores them."""
    return trimmed(takes_modes(function))  # type: ignore[return-value]
