"""checkify: errors as values, in functions that take objects."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._compat._programs import checkify as jax_checkify
from .._engine._lift import Body, Flat
from .._engine._modes import modeless
from .._engine._traceback import trimmed
from .._typing import P, R

if TYPE_CHECKING:
    from .._compat._programs import CheckifyError


@modeless
def checkify(
    f: Callable[P, R], errors: Any = None
) -> Callable[P, tuple[CheckifyError, R]]:
    """A function that returns its runtime errors beside its result.

    Args:
        f: takes and returns objects and arrays.
        errors: which errors to look for, such as `checkify.float_checks` of
            `jax.experimental`; by default what `checkify.check` reports.

    Returns:
        A function of the same arguments that returns (error, result). State that `f`
        changes is changed, with an error too.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> from jax.experimental import checkify
        >>> def inverse(v):
        ...     checkify.check(v.value != 0, 'division by zero')
        ...     return 1 / v.value
        >>> error, _ = nnx.jit(nnx.checkify(inverse))(nnx.Param(jnp.zeros(())))
        >>> 'division by zero' in error.get()
        True
    """

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        body = Body("checkify", f, Flat.of((args, kwargs)))
        checked = jax_checkify(body.run, errors)
        error, values = checked(body.flat.values())
        return error, body.commit(values)

    return wrapped
