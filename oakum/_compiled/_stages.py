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


class _Stage:
    """A stage of a function of objects: what it lacks itself is that of JAX's stage."""

    def __init__(self, stage: Any, function: Callable[..., Any]):
        self._stage, self._jit = stage, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


class TracedFn(_Stage):
    """A traced function of objects; otherwise as `jax.stages.Traced`."""

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Lowers; what it compiles to is called as the function itself."""
        return Lowered(self._stage.lower(*args, **kwargs), self._jit)


class Lowered(_Stage):
    """A lowered function of objects; otherwise as `jax.stages.Lowered`."""

    def called_by(self, function: Callable[..., Any]) -> Lowered:
        """The same, to be called by another function when it is compiled."""
        return Lowered(self._stage, function)

    def compile(self, *args: Any, **kwargs: Any) -> Compiled:
        """Compiles; the result is called as the function itself."""
        return Compiled(self._stage.compile(*args, **kwargs), self._jit)


class Compiled(_Stage):
    """A compiled function of objects; otherwise as `jax.stages.Compiled`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._jit(*args, **kwargs)
