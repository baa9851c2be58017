"""What `lower` and `compile` of a jitted function return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Lowered:
    """A lowered function of objects; otherwise as `jax.stages.Lowered`."""

    def __init__(self, lowered: Any, function: Callable[..., Any]):
        self._lowered, self._jit = lowered, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lowered, name)

    def compile(self, *args: Any, **kwargs: Any) -> Compiled:
        """Compiles; the result is called as the function itself."""
        return Compiled(self._lowered.compile(*args, **kwargs), self._jit)


class Compiled:
    """A compiled function of objects; otherwise as `jax.stages.Compiled`."""

    def __init__(self, compiled: Any, function: Callable[..., Any]):
        self._compiled, self._jit = compiled, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._jit(*args, **kwargs)
