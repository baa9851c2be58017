"""Sequential: layers one after another."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._objects import List, Module
from ..errors import ArgumentError


class Sequential(Module):
    """Calls functions and layers in order, each on what the one before returned.

    A tuple becomes the positional arguments of the next, a dict its keyword arguments.
    `rngs` given to the call reaches every one that has a parameter of that name.

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

    def __init__(self, *fns: Callable[..., Any]):
        for position, fn in enumerate(fns):
            if not callable(fn):
                raise ArgumentError(
                    f"Argument {position} of Sequential cannot be called: {fn!r}",
                    remedy="pass layers and functions, each as an argument of its own: "
                    "nnx.Sequential(*layers).",
                )
        self.layers: List[Any] = List(fns)

    def __call__(self, *args: Any, rngs: Any = None, **kwargs: Any) -> Any:
        """Applies all in order.

        Args:
            *args: for the first.
            rngs: for each that has a parameter `rngs`.
            **kwargs: for the first.

        Returns:
            What the last returns; without layers, what came in.
        """
        if not self.layers:
            return _without_layers(args, kwargs)
        output: Any = None
        for position, fn in enumerate(self.layers):
            if position:
                args, kwargs = _as_arguments(output)
            if rngs is not None and _takes_rngs(fn):
                kwargs = {**kwargs, "rngs": rngs}
            output = fn(*args, **kwargs)
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


def _takes_rngs(fn: Callable[..., Any]) -> bool:
    parameter = inspect.signature(fn).parameters.get("rngs")
    return parameter is not None and parameter.kind in (
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )
