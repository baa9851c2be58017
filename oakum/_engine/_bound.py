"""A method of an object, or an object that is called: the object is an argument."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

from .._objects import is_object

_POSITIONS = ("static_argnums", "donate_argnums")
_METHODS = ("trace", "lower", "eval_shape")


def owner_of(function: Any) -> tuple[Any, Any]:
    """The object that a function belongs to, or None, and the function by itself."""
    if isinstance(function, MethodType) and is_object(function.__self__):
        return function.__self__, function.__func__
    if is_object(function):
        return function, type(function).__call__
    return None, function


def one_later(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `jit` for one more argument in front."""
    shifted = dict(options)
    for name in _POSITIONS:
        given = options[name]
        if isinstance(given, int):
            given = (given,)
        if given is not None:
            shifted[name] = tuple([n + 1 if n >= 0 else n for n in given])
    if isinstance(options["in_shardings"], Sequence):
        shifted["in_shardings"] = (None, *options["in_shardings"])
    return shifted


def bind(call: Any, owner: Any, original: Any) -> Callable[..., Any]:
    """What `jit` returned, with the object as its first argument."""

    def bound(*args: Any, **kwargs: Any) -> Any:
        return call(owner, *args, **kwargs)

    if hasattr(original, "__name__"):
        functools.update_wrapper(bound, original)
    for name in _METHODS:
        setattr(bound, name, functools.partial(getattr(call, name), owner))
    for name in ("clear_cache", "explain", "_cache_size", "jitted_fn"):
        setattr(bound, name, getattr(call, name))
    return bound
