"""jit: compiles a function that takes objects, and updates them in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from .._compiled._jitted import Jitted
from .._compiled._shardings import StateSharding
from .._engine._bound import bind, one_later, owner_of
from .._engine._modes import MISSING, modeless
from .._engine.axes._by_filter import by_path
from .._typing import P, R

if TYPE_CHECKING:
    from .._typed import JitWrapped

    class JitOptions(TypedDict, total=False):
        """Those of `jit`."""

        in_shardings: Any
        out_shardings: Any
        static_argnums: int | Sequence[int] | None
        static_argnames: str | Iterable[str] | None
        donate_argnums: int | Sequence[int] | None
        donate_argnames: str | Iterable[str] | None
        keep_unused: bool
        device: Any
        backend: str | None
        inline: bool
        donate: bool


@overload
def jit(fun: Callable[P, R], **options: Unpack[JitOptions]) -> JitWrapped[P, R]: ...
@overload
def jit(
    **options: Unpack[JitOptions],
) -> Callable[[Callable[P, R]], JitWrapped[P, R]]: ...
@modeless
def jit(
    fun: Any = MISSING,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    donate: bool = True,
) -> Any:
    """Compiles a function that takes objects, and updates them in place.

    Args:
        fun: the function; left out where used as a decorator with arguments. A module,
            or a method of one, is compiled with the module as an argument.
        in_shardings: a sharding, or one for each argument; `StateSharding` for one by
            filter.
        out_shardings: a sharding or pytree of them for what the function returns.
        static_argnums, static_argnames: arguments that are compared by value and
            compiled in.
        donate_argnums, donate_argnames: array arguments whose buffers may be reused.
        keep_unused, device, backend, inline: as for `jax.jit`.
        donate: False keeps the old arrays of state that the function overwrites. By
            default they are reused where nobody else holds them.

    Returns:
        A function of the same arguments. It has `lower`, `trace`, `eval_shape` and
        `clear_cache`, as the functions that `jax.jit` returns, and `explain`, which
        says in words why the last trace happened.

    Raises:
        TraceContextError: the function writes to state that is not an argument.
        ArgumentError: an argument or a returned value is neither array nor object.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> @nnx.jit
        ... def increment(counter, by):
        ...     counter.value += by
        >>> counter = nnx.Variable(jnp.array(1))
        >>> increment(counter, 2)
        >>> int(counter.value)
        3
    """
    options: dict[str, Any] = {
        "in_shardings": by_path(in_shardings, StateSharding),
        "out_shardings": by_path(out_shardings, StateSharding),
        "static_argnums": static_argnums,
        "static_argnames": static_argnames,
        "donate_argnums": donate_argnums,
        "donate_argnames": donate_argnames,
        "keep_unused": keep_unused,
        "device": device,
        "backend": backend,
        "inline": inline,
        "donate": donate,
    }
    owner, function = owner_of(fun)
    if owner is not None:
        return bind(Jitted(function, **one_later(options)).call, owner, fun)
    return Jitted(fun, **options).call
