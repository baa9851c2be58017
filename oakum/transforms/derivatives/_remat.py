"""remat: recompute in the backward pass instead of keeping activations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..._engine._lift import Body, Flat
from ..._engine._modes import MISSING, keeping
from ..._engine._signature import with_static
from ..._engine._traceback import trimmed
from ..._guard import check_values


@keeping
def remat(
    f: Any = MISSING,
    *,
    prevent_cse: bool = True,
    static_argnums: int | Sequence[int] = (),
    policy: Callable[..., bool] | None = None,
) -> Any:
    """A function that keeps no activations for its gradient, but computes them again.

    Args:
        f: takes objects and arrays; left out where used as a decorator with arguments.
        prevent_cse: as for `jax.checkpoint`; False is safe, and faster, inside `scan`.
        static_argnums: positions of arguments that are configuration, by position or
            by keyword.
        policy: which intermediate values to keep all the same, one of
            `jax.checkpoint_policies`.

    Returns:
        A function of the same arguments; state that `f` changes is changed.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> block = nnx.remat(lambda m, x: nnx.relu(m(x)))
        >>> nnx.grad(lambda m: block(m, jnp.ones((1, 2))).sum())(model).kernel.shape
        (2, 3)
    """

    @functools.wraps(f)
    @trimmed
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = with_static(f, args, kwargs, static_argnums)
        body = Body("remat", f, Flat.of(given))
        check_values(body.flat.variables)
        pure = jax.checkpoint(
            lambda values: body.run(values),  # JAX is slower with methods
            prevent_cse=prevent_cse,
            policy=policy,
        )
        # Eagerly, jax 0.10 gives constants as arrays of another kind, without `.at`.
        values = jax.tree.map(
            lambda value: value if isinstance(value, jax.Array) else jnp.asarray(value),
            pure(body.flat.values()),
        )
        return body.commit(values)

    return wrapped
