"""jit_partial and cached_partial: arguments that are given once.

They are here for programs that have them. `jit` remembers the objects that it was
called with, so that a plain call is as fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, TypeVar, overload

from .._compiled._stages import Lowered
from .._engine._modes import modeless
from .._typing import P, R
from ._jit import jit

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def cached_partial(f: Callable[Concatenate[A, P], R], a: A, /) -> Callable[P, R]: ...
@overload
def cached_partial(
    f: Callable[Concatenate[A, B, P], R], a: A, b: B, /
) -> Callable[P, R]: ...
@overload
def cached_partial(
    f: Callable[Concatenate[A, B, C, P], R], a: A, b: B, c: C, /
) -> Callable[P, R]: ...
@overload
def cached_partial(
    f: Callable[..., R], a: Any, b: Any, c: Any, d: Any, /, *rest: Any
) -> Callable[..., R]: ...
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


@overload
def jit_partial(
    fun: Callable[Concatenate[A, P], R], a: A, /, **options: Any
) -> Callable[P, R]: ...
@overload
def jit_partial(
    fun: Callable[Concatenate[A, B, P], R], a: A, b: B, /, **options: Any
) -> Callable[P, R]: ...
@overload
def jit_partial(
    fun: Callable[Concatenate[A, B, C, P], R], a: A, b: B, c: C, /, **options: Any
) -> Callable[P, R]: ...
@overload
def jit_partial(
    fun: Callable[..., R], a: Any, b: Any, c: Any, d: Any, /, *rest: Any, **options: Any
) -> Callable[..., R]: ...
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
    make: Any = jit
    compiled = make(fun, **options)
    call: Any = functools.update_wrapper(
        functools.partial(compiled, *partial_args), fun
    )
    for name in ("trace", "eval_shape"):
        setattr(call, name, functools.partial(getattr(compiled, name), *partial_args))

    def lower(*args: Any, **kwargs: Any) -> Lowered:
        return compiled.lower(*partial_args, *args, **kwargs).called_by(call)

    call.lower, call.jitted_fn = lower, compiled.jitted_fn
    return call
