"""Freezing: which Variables are trained, as a property of each.

A frozen Variable carries the metadata `trainable=False`, and so it is frozen in each
copy of the model, too. Derivatives leave it out, an optimizer keeps no state for it,
and `trainable` is the filter for the parameters that remain.

    nnx.freeze(model, nnx.PathContains('encoder'))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3))  # trains the rest
"""

from __future__ import annotations

from typing import Any

from .. import _guard as guard
from .._graph._graphdef import Path
from .._graph._walk import leaves, places
from .._objects.variables._kinds import Param
from .._objects.variables._variable import Variable
from .._typing import Filter
from ..errors import FilterError
from ._filters import select_each

TRAINABLE = "trainable"


def is_frozen(value: Any) -> bool:
    """Whether a value is a Variable that is frozen."""
    if not isinstance(value, Variable):
        return False
    if guard.active:
        value = guard.resolve(value)
    return not value._meta.get(TRAINABLE, True)


def trainable(path: Path, value: Any) -> bool:
    """The filter for what is trained: each Param that is not frozen.

    Args:
        path: the path of the value; any.
        value: a Variable, or anything else, which is not trained.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.freeze(model, nnx.PathContains('bias'))
        >>> list(nnx.state(model, nnx.trainable))
        ['kernel']
    """
    return isinstance(value, Param) and not is_frozen(value)


def freeze(node: Any, *filters: Filter) -> None:
    """Freezes Variables: training leaves them exactly as they are.

    `grad`, `value_and_grad` and `vjp` compute no gradient for a frozen Variable, and an
    optimizer that is made afterwards keeps no state for it and does not change it. What
    a layer itself writes goes on: the statistics of a BatchNorm, the count of a random
    stream. `nnx.Param(value, trainable=False)` is frozen from the start.

    Args:
        node: the graph to change. A Variable that stands in several places is frozen
            where a filter selects one of them.
        *filters: what to freeze; all where there are none.

    Raises:
        FilterError: a filter selects no Variable; nothing was changed.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.freeze(model, nnx.PathContains('kernel'))
        >>> list(nnx.grad(lambda m: m(jnp.ones(2)).sum())(model))
        ['bias']
    """
    for variable in _choose("freeze", node, filters):
        if not is_frozen(variable):
            variable.set_metadata(**{TRAINABLE: False})


def unfreeze(node: Any, *filters: Filter) -> None:
    """Undoes `freeze`: the Variables are trained again.

    Args:
        node: the graph to change.
        *filters: what to unfreeze; all where there are none. As in `freeze`, one place
            of a Variable suffices.

    Raises:
        FilterError: a filter selects no Variable; nothing was changed.

    Example:
        >>> import oakum as nnx
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> nnx.freeze(model)
        >>> nnx.unfreeze(model, nnx.PathContains('bias'))
        >>> list(nnx.state(model, nnx.trainable))
        ['bias']
    """
    for variable in _choose("unfreeze", node, filters):
        if is_frozen(variable):
            variable.del_metadata(TRAINABLE)


def _choose(verb: str, node: Any, filters: tuple) -> list[Variable]:
    """The Variables that the filters select, by any of their paths."""
    known = {p: v for p, v in leaves(node) if isinstance(v, Variable)}

    def empty(name: str) -> FilterError:
        kinds = sorted({type(v).__name__ for v in known.values()})
        return FilterError(
            f"Nothing to {verb}: {name} selects no Variable of {type(node).__name__}",
            where=f"it holds: {', '.join(kinds) or 'no state'}",
            remedy="give a filter that selects what it holds, as in "
            f"nnx.{verb}(model, nnx.PathContains('encoder')).",
        )

    chosen = select_each(places(node, known), filters, empty)
    for variable in chosen:
        guard.writable(variable)  # raises before anything is changed
    return chosen
