"""grad and value_and_grad, of functions that take objects.

By default an object argument is differentiated with respect to its `Param`s;
`DiffState` selects otherwise. A frozen Variable is a constant, whatever selects it.
State that the function changes is changed, as in a plain call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

import jax

from ..._arguments import with_arguments_of
from ..._engine._lift import Body
from ..._engine._modes import MISSING, modeless
from ..._engine._selection import DiffState, Selection
from ..._engine._signature import by_position, count_of_positions
from ..._engine._traceback import trimmed
from ..._engine._values import Values
from ..._objects import Variable
from ..._typing import P, R
from ...errors import ArgumentError

if TYPE_CHECKING:
    from jax.typing import ArrayLike

    from ..._typed import Loss

    class GradOptions(TypedDict, total=False):
        """Those of `grad` and `value_and_grad`."""

        argnums: int | DiffState | Sequence[int | DiffState]
        holomorphic: bool
        allow_int: bool
        reduce_axes: Sequence[Any]
        graph: bool | None
        graph_updates: bool | None


@overload
def value_and_grad(
    f: Callable[P, Loss],
    *,
    has_aux: Literal[False] = ...,
    **options: Unpack[GradOptions],
) -> Callable[P, tuple[Loss, Any]]: ...
@overload
def value_and_grad(
    *,
    has_aux: Literal[False] = ...,
    **options: Unpack[GradOptions],
) -> Callable[[Callable[P, Loss]], Callable[P, tuple[Loss, Any]]]: ...
@overload
def value_and_grad(
    f: Callable[P, tuple[Loss, R]],
    *,
    has_aux: Literal[True],
    **options: Unpack[GradOptions],
) -> Callable[P, tuple[tuple[Loss, R], Any]]: ...
@overload
def value_and_grad(
    *,
    has_aux: Literal[True],
    **options: Unpack[GradOptions],
) -> Callable[
    [Callable[P, tuple[Loss, R]]], Callable[P, tuple[tuple[Loss, R], Any]]
]: ...
@modeless
def value_and_grad(
    f: Any = MISSING,
    *,
    argnums: int | DiffState | Sequence[int | DiffState] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Any] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """A function that returns the value of `f` and its gradient.

    Args:
        f: returns a scalar, `()` of a float dtype, or (scalar, aux); left out where
            used as a decorator with arguments.
        argnums: what to differentiate with respect to: positions, or `DiffState`s.
        has_aux: whether `f` returns (scalar, aux).
        holomorphic: whether `f` is promised to be holomorphic.
        allow_int: whether integer inputs may be differentiated.
        reduce_axes: accepted for flax.nnx programs; must be empty.
        graph, graph_updates: if one is False, an object is differentiated with respect
            to all its floats: the gradient is an object of its class, zero in all else.

    Returns:
        A function of the same arguments that returns (value, gradient), or
        ((value, aux), gradient). The gradient of an object is a State with the
        selected Variables' paths and shapes, without frozen ones; of several argnums, a
        tuple.

    Raises:
        FilterError: the selection holds nothing to differentiate.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> loss, grads = nnx.value_and_grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> grads.kernel.shape
        (2, 3)
    """
    options: dict[str, Any] = {"holomorphic": holomorphic, "allow_int": allow_int}
    if reduce_axes:
        raise ArgumentError(
            f"reduce_axes is not supported by JAX any more: {reduce_axes!r}",
            remedy="leave it out, and reduce inside the function.",
        )
    whole = False in (graph, graph_updates)
    several = not isinstance(argnums, int | DiffState)
    wanted = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    numbers = [n.argnum if isinstance(n, DiffState) else n for n in wanted]

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not all(0 <= n < len(args) for n in numbers):
            # By keyword, or a default. Only then: a wrapper with the signature of
            # another function may take by keyword alone what that takes by position.
            count = count_of_positions(f) if min(numbers) < 0 else max(numbers) + 1
            args, kwargs = by_position(f, args, kwargs, count)
        chosen = Selection(args, kwargs, wanted, trained=True, whole=whole)
        losses: list[Any] = []

        @functools.wraps(f)
        def checked(*args: Any, **kwargs: Any) -> Any:
            result = _checked(f(*args, **kwargs), has_aux, f)
            losses.append(result[0] if has_aux else result)
            return result

        body = Body("grad", checked, chosen.flat)

        def pure(differentiated: Values) -> Any:
            values = body.run(chosen.insert(differentiated))
            loss = losses.pop()
            return loss.get_value() if isinstance(loss, Variable) else loss, values

        transformed = jax.value_and_grad(pure, has_aux=True, **options)
        (_, values), gradient = transformed(chosen.values())
        build = chosen.object_builder() if whole else chosen.build
        result = body.commit(values)
        grads = build(gradient)
        return result, grads if several else grads[0]

    return wrapped


def _checked(result: Any, has_aux: bool, f: Any) -> Any:
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        name = getattr(f, "__name__", "the function")
        raise ArgumentError(
            f"has_aux=True, but {name} returned {type(result).__name__}",
            remedy="return (loss, aux).",
        )
    return result


@overload
def grad(
    f: Callable[P, ArrayLike],
    *,
    has_aux: Literal[False] = ...,
    **options: Unpack[GradOptions],
) -> Callable[P, Any]: ...
@overload
def grad(
    *,
    has_aux: Literal[False] = ...,
    **options: Unpack[GradOptions],
) -> Callable[[Callable[P, ArrayLike]], Callable[P, Any]]: ...
@overload
def grad(
    f: Callable[P, tuple[ArrayLike, R]],
    *,
    has_aux: Literal[True],
    **options: Unpack[GradOptions],
) -> Callable[P, tuple[Any, R]]: ...
@overload
def grad(
    *,
    has_aux: Literal[True],
    **options: Unpack[GradOptions],
) -> Callable[[Callable[P, tuple[ArrayLike, R]]], Callable[P, tuple[Any, R]]]: ...
@modeless
@with_arguments_of(value_and_grad)
def grad(
    f: Any = MISSING, *, has_aux: bool = False, **options: Unpack[GradOptions]
) -> Any:
    """A function that returns the gradient of `f`.

    Args:
        f, argnums, has_aux, holomorphic, allow_int: as `value_and_grad`.
        reduce_axes, graph, graph_updates: likewise.

    Returns:
        A function of the same arguments that returns the gradient, or (gradient, aux).

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> grads.bias.value.tolist()
        [1.0, 1.0, 1.0]
    """
    differentiate: Any = value_and_grad
    both = differentiate(f, has_aux=has_aux, **options)

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapped
