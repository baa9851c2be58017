"""What `trace`, `lower` and `compile` of a jitted function return."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


class JittedFn:
    """What tests of programs ask about a function of `jax.jit`: its cache, its stages.

    Args:
        jitted: what `jit` made of the user's function.
    """

    def __init__(self, jitted: Any):
        self._jitted = weakref.ref(jitted)

    def __reduce__(self) -> tuple:
        return JittedFn, (self._jitted(),)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._jitted(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


class TracedFn:
    """A traced function of objects; otherwise as `jax.stages.Traced`."""

    def __init__(self, traced: Any, function: Callable[..., Any]):
        self._traced, self._jit = traced, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._traced, name)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Lowers; what it compiles to is called as the function itself."""
        return Lowered(self._traced.lower(*args, **kwargs), self._jit)


class Lowered:
    """A lowered function of objects; otherwise as `jax.stages.Lowered`."""

    def __init__(self, lowered: Any, function: Callable[..., Any]):
        self._lowered, self._jit = lowered, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lowered, name)

    def called_by(self, function: Callable[..., Any]) -> Lowered:
        """The same, to be called by another function when it is compiled."""
        return Lowered(self._lowered, function)

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
