"""Sequential: layers one after another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

from .._objects import List, Module
from ..errors import ArgumentError


class Sequential(Module, Iterable[Callable[..., Any]]):
    """Calls functions and layers in order, each on what the one before returned.

    A tuple becomes the positional arguments of the next, a dict its keyword arguments.
    A keyword argument of the call reaches every one that takes it. Iterating gives the
    layers.

    Args:
        *fns: layers and functions.

    Raises:
        ArgumentError: one of `fns` is not callable.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> rngs = nnx.Rngs(0)
        >>> model = nnx.Sequential(
        ...     nnx.Linear(1, 4, rngs=rngs), nnx.relu, nnx.Linear(4, 2, rngs=rngs)
        ... )
        >>> model(jnp.ones((3, 1))).shape
        (3, 2)
    """

    # The first is there for lambdas, whose argument has no type without it.
    @overload
    def __init__(self, *fns: Callable[[Any], Any]) -> None: ...
    @overload
    def __init__(self, *fns: Callable[..., Any]) -> None: ...
    def __init__(self, *fns: Callable[..., Any]):
        for position, fn in enumerate(fns):
            if not callable(fn):
                raise ArgumentError(
                    f"Argument {position} of Sequential cannot be called: {fn!r}",
                    remedy="pass layers and functions, each as an argument of its own: "
                    "nnx.Sequential(*layers).",
                )
        self.layers: List[Any] = List(fns)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Applies all in order.

        Args:
            *args: for the first.
            **kwargs: each for all that have a parameter of its name.

        Returns:
            What the last one returns; without layers, the argument itself.

        Raises:
            ArgumentError: a layer is to get an argument twice.
        """
        if not self.layers:
            return _without_layers(args, kwargs)
        output: Any = None
        for position, fn in enumerate(self.layers):
            own: dict[str, Any] = {}
            if position:
                args, own = _as_arguments(output)
            shared = _accepted(fn, len(args), kwargs) if kwargs else {}
            if not own.keys().isdisjoint(shared):
                _refuse_twice(position, fn, sorted(own.keys() & shared))
            output = fn(*args, **own, **shared)
        return output


def _as_arguments(output: Any) -> tuple[tuple, dict]:
    if isinstance(output, tuple):
        return output, {}
    if isinstance(output, dict):
        return (), output
    return (output,), {}


def _without_layers(args: tuple, kwargs: dict) -> Any:
    if len(args) == 1:
        return args[0]
    return args or kwargs or None


def _accepted(
    fn: Callable[..., Any], positional: int, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments that a function takes beside so many positional ones."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # written in C
        return {}
    by_place = [p for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
    given = {p.name for p in by_place[:positional] if p.kind != p.POSITIONAL_ONLY}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {name: value for name, value in kwargs.items() if name not in given}
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    takes = {p.name for p in parameters if p.kind in kinds} - given
    return {name: value for name, value in kwargs.items() if name in takes}


def _refuse_twice(position: int, fn: Callable[..., Any], names: list[str]) -> None:
    """Two values for one argument.

    Raises:
        ArgumentError: always.
    """
    label = getattr(fn, "__name__", type(fn).__name__)
    raise ArgumentError(
        f"Layer {position} of Sequential, {label}, got {', '.join(names)} twice: in "
        "what the layer before returned, and in the call",
        remedy="leave it out of one of the two.",
    )
