"""jit_partial and cached_partial: arguments that are given once.

They are here for programs that have them. `jit` remembers the objects that it was
called with, so that a plain call is as fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._compiled._stages import Lowered
from .._engine._modes import modeless
from ._jit import jit


def cached_partial(f: Callable[..., Any], *cached_args: Any) -> Callable[..., Any]:
    """`functools.partial(f, *cached_args)`, for programs that ask for more.

    Args:
        f: a function, jitted as a rule.
        *cached_args: its first arguments.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.cached_partial(nnx.jit(lambda m, x: m(x)), model)(jnp.ones(2)).shape
        (3,)
    """
    return functools.partial(f, *cached_args)


@modeless
def jit_partial(
    fun: Callable[..., Any], *partial_args: Any, **options: Any
) -> Callable[..., Any]:
    """A compiled function whose first arguments are given once.

    Args:
        fun: the function.
        *partial_args: its first arguments: objects, arrays, and pytrees of these.
        **options: the keyword arguments of `jit`, with positions counted in `fun`.

    Returns:
        A function of the other arguments, with the `lower`, `trace` and `eval_shape` of
        a jitted one.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.jit_partial(lambda m, x: m(x), model)(jnp.ones(2)).shape
        (3,)
    """
    compiled = jit(fun, **options)
    call: Any = functools.update_wrapper(
        functools.partial(compiled, *partial_args), fun
    )
    for name in ("trace", "eval_shape"):
        setattr(call, name, functools.partial(getattr(compiled, name), *partial_args))

    def lower(*args: Any, **kwargs: Any) -> Lowered:
        return compiled.lower(*partial_args, *args, **kwargs).called_by(call)

    call.lower, call.jitted_fn = lower, compiled.jitted_fn
    return call
