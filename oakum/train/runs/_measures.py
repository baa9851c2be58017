"""Two measures that people log: the norm of gradients, and the learning rate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..._state import raw
from ...errors import ArgumentValueError
from .._optimizer import Optimizer


def gradient_norm(grads: Any) -> jax.Array:
    """The norm of all gradients together, in float32.

    Args:
        grads: what `nnx.grad` returns, or another pytree of arrays.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> print(nnx.train.gradient_norm({'a': jnp.array([3.0]), 'b': jnp.array(4.0)}))
        5.0
    """
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree.leaves(grads):
        total += (jnp.abs(raw(leaf)).astype(jnp.float32) ** 2).sum()
    return jnp.sqrt(total)


def learning_rate(optimizer: Optimizer) -> jax.Array:
    """The learning rate of the step that an optimizer did last.

    Args:
        optimizer: one whose rate is injected.

    Raises:
        ArgumentValueError: optax keeps no rate in its state.

    Example:
        >>> import oakum as nnx, optax
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> schedule = optax.linear_schedule(0.5, 0.0, 100)
        >>> tx = optax.inject_hyperparams(optax.sgd)(schedule)
        >>> print(nnx.train.learning_rate(nnx.Optimizer(model, tx, wrt=nnx.Param)))
        0.5
    """
    found = _hyperparams(optimizer.opt_state)
    for values in found:
        if "learning_rate" in values:
            return jnp.asarray(raw(values["learning_rate"]))
    raise ArgumentValueError(
        "optax keeps no learning rate in the state of this optimizer",
        remedy="make the transformation with optax.inject_hyperparams(optax.adam)("
        "learning_rate=schedule).",
    )


def _hyperparams(state: Any) -> list[Any]:
    """The dicts of injected values in a state of optax, outermost first."""
    own = getattr(state, "hyperparams", None)
    if own is not None:
        return [own, *_hyperparams(getattr(state, "inner_state", ()))]
    if isinstance(state, dict):
        parts = list(state.values())
    elif isinstance(state, tuple | list):
        parts = list(state)
    else:
        inner = ("inner_state", "inner_states", "inner_opt_state")
        parts = [getattr(state, name) for name in inner if hasattr(state, name)]
    return [found for part in parts for found in _hyperparams(part)]
