"""evaluate: the means of measures over data, each row of it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ...errors import ArgumentError


def evaluate(
    step: Callable[..., Mapping[str, Any]], data: Any, size: int | None = None
) -> dict[str, float]:
    """Means of what a function measures of batches, weighted by their rows.

    Every row counts once, though the last batch be smaller; a compiled function is
    compiled for that one too.

    Args:
        step: called with the parts of each batch; returns means over it, by name.
        data: arrays of the same length, to be cut; or an iterable of batches.
        size: rows in a batch of arrays; all at once by default.

    Raises:
        ArgumentError: there is no batch, or `step` returns no mapping.

    Example:
        >>> import numpy as np, oakum as nnx
        >>> data = (np.array([1.0, 2.0, 6.0]),)
        >>> nnx.train.evaluate(lambda x: {'mean': x.mean()}, data, size=2)
        {'mean': 3.0}
    """
    found: list[tuple[int, Any]] = []
    for batch in _cut(data, size):
        parts = batch if isinstance(batch, tuple | list) else (batch,)
        measures = step(*parts)
        if not isinstance(measures, Mapping):
            raise ArgumentError(
                f"evaluate: the function returns a {type(measures).__name__}, expected "
                "a dict of measures by name",
                remedy='return {"valid_loss": loss}.',
            )
        found.append((len(jax.tree.leaves(batch)[0]), measures))
    if not found:
        raise ArgumentError(
            "evaluate: there is no batch to measure",
            remedy="give arrays with rows, or a loader that gives batches again.",
        )
    found = jax.device_get(found)  # at once, so that the device works meanwhile
    rows = sum(count for count, _ in found)
    return {
        name: float(sum(count * float(values[name]) for count, values in found) / rows)
        for name in found[0][1]
    }


def _cut(data: Any, size: int | None) -> Any:
    if not (isinstance(data, tuple | list) and all(hasattr(a, "shape") for a in data)):
        return data
    arrays = [np.asarray(array) for array in data]
    rows = len(arrays[0]) if arrays else 0
    size = size or max(rows, 1)
    starts = range(0, rows, size)
    return [tuple([array[i : i + size] for array in arrays]) for i in starts]
