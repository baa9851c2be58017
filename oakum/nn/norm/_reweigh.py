"""Calls a layer with other values in its parameters, for the layers that wrap one."""

from __future__ import annotations

from typing import Any

from ..._graph import Path, leaves
from ..._objects import Variable
from ..._state import clone

Values = dict[Path, Any]


def call_with(layer: Any, values: Values, keep: bool, *args: Any, **kwargs: Any) -> Any:
    """What `layer(*args, **kwargs)` returns with `values` in its parameters.

    Args:
        layer: the layer.
        values: for paths of parameters below the layer, the values to call it with.
        keep: whether they stay there. If not, nothing is written to them at all, so
            that the call may stand in a trace of JAX's own that captures the layer.
        *args: for the layer.
        **kwargs: for the layer.
    """
    if keep:
        for path, variable in leaves(layer):
            if path in values:
                variable.value = values[path]
        return layer(*args, **kwargs)
    copy = clone(layer)
    pairs = [
        (mine, theirs)
        for (path, mine), (_, theirs) in zip(leaves(layer), leaves(copy), strict=True)
        if isinstance(mine, Variable) and path not in values
    ]
    for path, variable in leaves(copy):
        if path in values:
            variable.value = values[path]
    before = [mine.get_raw_value() for mine, _ in pairs]
    out = copy(*args, **kwargs)
    for (mine, theirs), old in zip(pairs, before, strict=True):
        new = theirs.get_raw_value()
        if new is not old:  # such as the count of a random stream
            mine.set_raw_value(new)
    return out
