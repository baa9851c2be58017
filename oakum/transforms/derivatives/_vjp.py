"""vjp and jvp: products with the Jacobian, of functions that take objects.

What is differentiated of an object is its Variables of a float dtype; numbers, keys and
counts pass through. For vjp a frozen Variable is a constant; in jvp it moves in the
direction that is given for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, overload

import jax

from ..._engine._lift import Body
from ..._engine._modes import MISSING, modeless
from ..._engine._selection import DiffState, Selection, select_floats
from ..._engine._traceback import trimmed
from ..._engine._values import Values
from ..._objects import is_object, is_variable
from ..._state import raw
from ..._typing import P, R
from ...errors import ArgumentError

if TYPE_CHECKING:
    from ..._typed import Pull

Aux = TypeVar("Aux")
Ts = TypeVarTuple("Ts")


@overload
def vjp(
    f: Callable[..., R],
    first: Any,
    /,
    *primals: Any,
    has_aux: Literal[False] = ...,
    reduce_axes: Sequence[Any] = ...,
) -> tuple[R, Pull]: ...
@overload
def vjp(
    f: Callable[P, R],
    *,
    has_aux: Literal[False] = ...,
    reduce_axes: Sequence[Any] = ...,
) -> Callable[P, tuple[R, Pull]]: ...
@overload
def vjp(
    *, has_aux: Literal[False] = ..., reduce_axes: Sequence[Any] = ...
) -> Callable[[Callable[P, R]], Callable[P, tuple[R, Pull]]]: ...
@overload
def vjp(
    f: Callable[..., tuple[R, Aux]],
    first: Any,
    /,
    *primals: Any,
    has_aux: Literal[True],
    reduce_axes: Sequence[Any] = ...,
) -> tuple[R, Pull, Aux]: ...
@overload
def vjp(
    f: Callable[P, tuple[R, Aux]],
    *,
    has_aux: Literal[True],
    reduce_axes: Sequence[Any] = ...,
) -> Callable[P, tuple[R, Pull, Aux]]: ...
@overload
def vjp(
    *, has_aux: Literal[True], reduce_axes: Sequence[Any] = ...
) -> Callable[[Callable[P, tuple[R, Aux]]], Callable[P, tuple[R, Pull, Aux]]]: ...
@modeless
def vjp(
    f: Any = MISSING,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Sequence[Any] = (),
) -> Any:
    """The value of `f`, and a function that pulls cotangents back to its arguments.

    Args:
        f: takes objects and arrays and returns arrays, pytrees of these, or such and
            aux; left out where used as a decorator with arguments.
        *primals: where to evaluate it; without any, a function of them is returned.
        has_aux: whether `f` returns (value, aux).
        reduce_axes: accepted for flax.nnx programs; must be empty.

    Returns:
        (value, pull) or (value, pull, aux). `pull` takes a cotangent of the form of the
        value, and returns one for each primal: for an object one of its class. What is
        frozen has zeros there, and what has no derivative is empty, of dtype float0.

    Raises:
        ArgumentError: `f` does not return (value, aux), or reduce_axes is not empty.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> y, pull = nnx.vjp(lambda m, x: m(x), model, jnp.ones((1, 2)))
        >>> grads, x_grad = pull(jnp.ones_like(y))
        >>> grads.bias.value.tolist(), x_grad.shape
        ([1.0, 1.0, 1.0], (1, 2))
    """
    if reduce_axes:
        raise ArgumentError(
            f"reduce_axes is not supported by JAX any more: {reduce_axes!r}",
            remedy="leave it out, and reduce inside the function.",
        )
    again: Any = vjp
    if not primals:
        return functools.wraps(f)(functools.partial(again, f, has_aux=has_aux))
    run = _Run("vjp", f, primals, has_aux, trained=True)
    _, pull_leaves, values = jax.vjp(run.pure, run.chosen.values(), has_aux=True)
    build = run.chosen.object_builder()
    result = run.body.commit(values)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        (gradient,) = pull_leaves(_without_objects(cotangent))
        return build(gradient)

    return (result[0], pull, result[1]) if has_aux else (result, pull)


@overload
def jvp(
    f: Callable[[*Ts], R],
    primals: tuple[*Ts] | list[Any],
    tangents: tuple[Any, ...] | list[Any],
    *,
    has_aux: Literal[False] = ...,
) -> tuple[R, R]: ...
@overload
def jvp(
    f: Callable[..., R], *, has_aux: Literal[False] = ...
) -> Callable[[Any, Any], tuple[R, R]]: ...
@overload
def jvp(
    *, has_aux: Literal[False] = ...
) -> Callable[[Callable[..., R]], Callable[[Any, Any], tuple[R, R]]]: ...
@overload
def jvp(
    f: Callable[[*Ts], tuple[R, Aux]],
    primals: tuple[*Ts] | list[Any],
    tangents: tuple[Any, ...] | list[Any],
    *,
    has_aux: Literal[True],
) -> tuple[R, R, Aux]: ...
@overload
def jvp(
    f: Callable[..., tuple[R, Aux]], *, has_aux: Literal[True]
) -> Callable[[Any, Any], tuple[R, R, Aux]]: ...
@overload
def jvp(
    *, has_aux: Literal[True]
) -> Callable[
    [Callable[..., tuple[R, Aux]]], Callable[[Any, Any], tuple[R, R, Aux]]
]: ...
@modeless
def jvp(
    f: Any = MISSING,
    primals: Any = MISSING,
    tangents: Any = MISSING,
    *,
    has_aux: bool = False,
) -> Any:
    """The value of `f`, and its derivative in a direction.

    Args:
        f: takes objects and arrays and returns arrays, pytrees of these, or such and
            aux; left out where used as a decorator with arguments.
        primals: where to evaluate it, one for each argument.
        tangents: the direction: for each primal the same, and for an object one of the
            same form or a State. What it leaves out counts as zero.
        has_aux: whether `f` returns (value, aux).

    Returns:
        (value, tangent) or (value, tangent, aux). The tangent of an object is one of
        its class.

    Raises:
        StructureError: a tangent has another shape, or a path that its primal lacks.

    Example:
        >>> import oakum as nnx, jax, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> x, direction = jnp.ones((1, 2)), jax.tree.map(jnp.zeros_like, model)
        >>> y, dy = nnx.jvp(lambda m, x: m(x), (model, x), (direction, 0 * x))
        >>> dy.tolist()
        [[0.0, 0.0, 0.0]]
    """
    again: Any = jvp
    if primals is MISSING:
        return functools.wraps(f)(functools.partial(again, f, has_aux=has_aux))
    run = _Run("jvp", f, tuple(primals), has_aux)
    values = run.chosen.values()
    directions = run.chosen.take(tuple(tangents), "tangent")
    _, tangent, outputs = jax.jvp(run.pure, (values,), (directions,), has_aux=True)
    result = run.body.commit(outputs)
    return (result[0], tangent, result[1]) if has_aux else (result, tangent)


class _Run:
    """A function of the float leaves of its arguments, to be differentiated.

    `pure` returns the value of the user's function, and as aux the output values for
    the commit. For `vjp`, whose cotangents may be plain arrays, it is without objects.
    """

    def __init__(
        self,
        transform: str,
        f: Callable[..., Any],
        primals: tuple,
        has_aux: bool,
        trained: bool = False,
    ):
        wanted = tuple(DiffState(i, select_floats) for i in range(len(primals)))
        self.chosen = Selection(primals, {}, wanted, may_be_empty=True, trained=trained)
        self.found: list[Any] = []
        found = self.found  # not `self`, which would make a cycle

        def call(*args: Any) -> Any:
            result = f(*args)
            if has_aux and not (isinstance(result, tuple) and len(result) == 2):
                raise ArgumentError(
                    f"{transform}: has_aux=True, but the function returned "
                    f"{type(result).__name__}",
                    remedy="return (value, aux).",
                )
            value = result[0] if has_aux else result
            found.append(_without_objects(value) if trained else value)
            return result

        self.body = Body(transform, call, self.chosen.flat)

    @trimmed
    def pure(self, differentiated: Values) -> Any:
        values = self.body.run(self.chosen.insert(differentiated))
        return self.found.pop(), values


def _without_objects(value: Any) -> Any:
    """A pytree with the arrays of its Variables in their place."""
    return jax.tree.map(
        lambda x: jax.tree.map(raw, x, is_leaf=is_variable), value, is_leaf=is_object
    )
