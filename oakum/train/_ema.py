"""EMA: a moving average of a model's state, and a model that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._graph import Path, leaves
from .._modes import takes_modes
from .._objects import Node, Pytree, Variable
from .._state import State, flat_items, from_flat_state, merge, partition, raw, split
from .._typing import M
from ..errors import ArgumentError, FilterError, StructureError


class EMA(Pytree):
    """An exponential moving average of a model's Variables.

    It costs the memory of the Variables that it tracks, once. Values that cannot be
    averaged, such as counts and random keys, follow the model.

    B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", SIAM J. Control Optim. 30(4), 1992, https://doi.org/10.1137/0330046;
    here with weights that decay, and no correction of the start: the average begins
    with the values that `params` has.

    Args:
        params: the model, or a State.
        decay: the weight of the old average in an update, below 1.
        only: a filter for what to track; all Variables by default. `nnx.trainable`
            leaves out what is frozen.

    Raises:
        FilterError: `only` selects nothing.
        ArgumentError: it selects an array that is no Variable.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(0))
        >>> ema = nnx.EMA(model, decay=0.75)
        >>> model.kernel[...] = jnp.zeros((2, 2))
        >>> average = ema.apply_to(model)
        >>> average.kernel is ema.params.kernel
        True
        >>> before = average.kernel.value
        >>> ema.update(model)                   # inside nnx.jit too
        >>> bool((average.kernel == 0.75 * before).all())
        True
    """

    @takes_modes
    def __init__(self, params: Any, decay: float, *, only: Any = ...):
        self.decay = decay
        self.filter = only
        self.params = from_flat_state(
            [(path, _copy(path, leaf)) for path, leaf in _tracked(params, only)]
        )

    def update(self, updates: Any) -> None:
        """Moves the average: `decay * average + (1 - decay) * update`.

        Args:
            updates: the model, or a State or nested dicts of its structure.

        Raises:
            StructureError: paths or shapes differ from the average's; lists them all,
                and nothing was changed.
        """
        own = dict(leaves(self.params))
        new = {path: raw(leaf) for path, leaf in _tracked(updates, self.filter)}
        _check_same(own, new)
        for path, variable in own.items():
            old = variable.get_value()
            variable.set_value(
                jax.tree.map(lambda a, b: _blend(a, b, self.decay), old, new[path])
            )

    def apply_to(self, model: M) -> M:
        """A model that computes with the average.

        Args:
            model: a model of the structure that is tracked.

        Returns:
            A new model of the same type. It holds the Variables of the average
            themselves, so that later updates reach it, and shares all others with
            `model`.

        Raises:
            StructureError: the model lacks paths that are tracked, or shapes differ.
        """
        graphdef, state = split(model)
        own = dict(leaves(self.params))
        flat = dict(flat_items(state))
        _check_same(own, {path: raw(flat[path]) for path in own if path in flat})
        return merge(graphdef, from_flat_state(flat | own), recreate_variables=False)


def _tracked(params: Any, only: Any) -> list[tuple[Path, Any]]:
    if isinstance(params, Mapping) and not isinstance(params, Node):
        params = State(params)
    (selected,), _ = partition(leaves(params), (only,))
    if not selected:
        raise FilterError(
            f"Nothing to average: only={getattr(only, '__name__', only)} selects no "
            f"Variable of {type(params).__name__}",
            remedy="nnx.EMA(model, decay=0.999, only=nnx.Param).",
        )
    return selected


def _copy(path: Path, leaf: Any) -> Variable:
    if not isinstance(leaf, Variable):
        text = "/".join(map(str, path))
        raise ArgumentError(
            f"EMA only supports Variable leaves, got {type(leaf).__name__} at path "
            f"'{text}'",
            remedy="select the Variables with `only`: nnx.EMA(model, 0.999, "
            "only=nnx.Param).",
        )
    return leaf.replace(jax.tree.map(jnp.copy, leaf.get_value()))


def _blend(average: Any, update: Any, decay: Any) -> Any:
    if not jnp.issubdtype(jnp.result_type(average), jnp.inexact):
        return update
    update = jnp.asarray(update).astype(jnp.result_type(average))
    return decay * average + (1.0 - decay) * update


def _check_same(own: dict[Path, Any], new: dict[Path, Any]) -> None:
    lines = [f"{_show(path)}: missing" for path in own if path not in new]
    lines += [f"{_show(path)}: not in the average" for path in new if path not in own]
    for path, variable in own.items():
        if path in new:
            expected = jax.tree.map(jnp.shape, variable.get_value())
            got = jax.tree.map(jnp.shape, new[path])
            if expected != got:
                lines.append(f"{_show(path)}: expected shape {expected}, got {got}")
    if lines:
        raise StructureError(
            "The state does not fit the average" + "".join(f"\n  {x}" for x in lines),
            remedy="give the model that the EMA was made of, or make a new EMA.",
        )


def _show(path: Path) -> str:
    return ".".join(map(str, path))
