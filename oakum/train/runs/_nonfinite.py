"""Where nan and inf come from: a logged measure, a Variable, what a layer returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._graph import leaves, modules_of
from ..._objects import Param
from ..._protocols._observe import observing
from ..._state import raw
from ...errors import NonFiniteError

Named = list[tuple[str, Any]]


def find_nonfinite(model: Any, *args: Any, **kwargs: Any) -> str | None:
    """Says where the first nan or inf of a call of a model comes from.

    The arguments are looked at first, then the Params, then what each layer returns, in
    the order in which they return. The call is not compiled, and its updates of state
    stay: on a model that is to be trained on, use a `nnx.clone`.

    Args:
        model: the module.
        *args, **kwargs: what it is called with.

    Returns:
        A sentence, or None where all is finite.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Sequential(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), jnp.log)
        >>> nnx.train.find_nonfinite(model, jnp.zeros((1, 2)))
        'Sequential `model` returns inf or nan (2 of 2 values), of finite arguments'
        >>> model.layers[0].bias[...] = jnp.array([1.0, jnp.nan])
        >>> nnx.train.find_nonfinite(model, jnp.zeros((1, 2)))
        'Param `model.layers[0].bias` holds inf or nan (1 of 2 values)'
    """
    for number, leaf in enumerate(jax.tree.leaves((args, kwargs))):
        if count := _count(leaf):
            return f"argument {number} holds inf or nan ({count})"
    named = {id(m): _path("model", path) for path, m in modules_of(model)}
    for name, value in params_of({"model": model}):
        if count := _count(value):
            return f"Param `{name}` holds inf or nan ({count})"
    found: list[str] = []

    def look(name: str, method: Callable, self: Any, /, *args: Any, **kwargs: Any):
        result = method(self, *args, **kwargs)
        counts = [c for leaf in jax.tree.leaves(result) if (c := _count(leaf))]
        if counts and not found:
            given = map(_count, jax.tree.leaves((args, kwargs)))
            whose = "of arguments that hold some" if any(given) else "of finite ones"
            whose = whose.replace("of finite ones", "of finite arguments")
            path = named.get(id(self), "?") + ("" if name == "__call__" else f".{name}")
            found.append(
                f"{type(self).__name__} `{path}` returns inf or nan ({counts[0]}), "
                f"{whose}"
            )
        return result

    with observing({type(m) for _, m in modules_of(model)}, "find_nonfinite", look):
        model(*args, **kwargs)
    return found[0] if found else None


class Watch:
    """Looks for nan and inf in what a run logs.

    Args:
        measure: the logged measure to look at; None for none.
    """

    def __init__(self, measure: str | None):
        self.measure = measure
        self._bad: tuple[int, str] | None = None  # the first step, and what it was
        self._vectors: list[tuple[int, list[str], Any]] = []

    def add(self, step: int, trees: Mapping[str, Any]) -> None:
        """Has the device look at each leaf, without waiting for what it finds."""
        named = named_leaves(trees)
        self._vectors.append(
            (step, [name for name, _ in named], _are_finite([x for _, x in named]))
        )

    def look(self, news: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Notes the first step at which something was not finite."""
        vectors, self._vectors = self._vectors, []
        found = []
        for step, names, finite in vectors:
            bad = [
                n for n, good in zip(names, np.asarray(finite), strict=True) if not good
            ]
            if bad:
                found.append((step, 0, _listing(bad, len(names), "watched arrays")))
        for step, row in news:
            value = row.get(self.measure or "", 0.0)
            if not math.isfinite(value):
                found.append((step, 1, f"{self.measure} is {value}"))
        if found:
            step, _, what = min(found)
            self._note(step, what)

    def _note(self, step: int, what: str) -> None:
        """Keeps the first: the Params of a save are looked at before its measures."""
        if self._bad is None or step < self._bad[0]:
            self._bad = step, what

    def check(self, objects: Mapping[str, Any], checkpoint: str) -> None:
        """Raises where something was not finite.

        Args:
            objects: of these the Params are looked at, to be named.
            checkpoint: what is said of the last one.
        """
        if self._bad is None:
            return
        step, what = self._bad
        params = params_of(objects)
        bad = _bad_names(params)
        now = _listing(bad, len(params), "Params") if bad else "all Params are finite"
        raise NonFiniteError(
            f"The run has no finite numbers any more, at step {step}: {what}. "
            f"Now {now}",
            where=checkpoint,
            remedy="nnx.train.find_nonfinite(model, *batch) names the layer; a lower "
            "learning rate or optax.clip_by_global_norm may cure it. Run(watch=None) "
            "looks for nothing.",
        )

    def check_params(self, objects: Mapping[str, Any], step: int) -> None:
        """Raises where a Param is not finite, before it replaces a checkpoint."""
        if self.measure is None or self._bad is not None:
            return
        params = params_of(objects)
        if bad := _bad_names(params):
            self._note(step, _listing(bad, len(params), "Params"))


def params_of(objects: Mapping[str, Any]) -> Named:
    """The arrays of all Params, with their paths."""
    found = {}
    for name, obj in objects.items():
        for path, leaf in leaves(obj):
            if isinstance(leaf, Param):
                found.setdefault(id(leaf), (_path(name, path), leaf))
    return named_leaves(dict(found.values()))


def named_leaves(trees: Mapping[str, Any]) -> Named:
    """The arrays of floating-point numbers in objects and pytrees, with their paths."""
    return [
        (_path(name, path) + jax.tree_util.keystr(below), value)
        for name, tree in trees.items()
        for path, leaf in leaves(tree)
        for below, value in jax.tree_util.tree_leaves_with_path(raw(leaf))
        if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact)
    ]


def _bad_names(named: Named) -> list[str]:
    finite = np.asarray(_are_finite([value for _, value in named]))
    return [name for (name, _), good in zip(named, finite, strict=True) if not good]


@jax.jit
def _are_finite(arrays: list[jax.Array]) -> jax.Array:
    if not arrays:
        return jnp.zeros((0,), bool)
    return jnp.stack([jnp.isfinite(array).all() for array in arrays])


def _listing(bad: list[str], count: int, what: str) -> str:
    hold = "holds" if len(bad) == 1 else "hold"
    return f"{len(bad)} of {count} {what} {hold} inf or nan, first `{bad[0]}`"


def _count(leaf: Any) -> str:
    """How many values are inf or nan; empty where none is."""
    if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return ""
    bad = int(leaf.size - jnp.isfinite(raw(leaf)).sum())
    return f"{bad} of {leaf.size} values" if bad else ""


def _path(name: str, path: Sequence[Any]) -> str:
    for key in path:
        name += f"[{key}]" if isinstance(key, int) else f".{key}"
    return name
