"""Calls a layer with other values in its parameters, for the layers that wrap one."""

from __future__ import annotations

from typing import Any

from ..._graph import Path, leaves
from ..._guard import standing_for
from ..._objects import Variable
from ..._state import from_flat_state, graphdef, merge, update

Values = dict[Path, Any]


def call_with(layer: Any, values: Values, *args: Any, **kwargs: Any) -> Any:
    """What `layer(*args, **kwargs)` returns with `values` in its parameters.

    The parameters themselves stay as they are: the call is that of a copy, which has
    them anew and shares all other Variables with the layer.

    Args:
        layer: the layer.
        values: for paths of parameters below the layer, the values to call it with.
        *args: for the layer.
        **kwargs: for the layer.
    """
    if not values:
        return layer(*args, **kwargs)
    known = leaves(layer)
    parts = [(p, v.replace(values[p]) if p in values else v) for p, v in known]
    state = from_flat_state(parts)
    copy_of_layer = merge(graphdef(layer), state, recreate_variables=False)
    with standing_for(copy_of_layer, layer):
        out = copy_of_layer(*args, **kwargs)
    paths = {path for path, _ in known}
    made = [
        (path, leaf)
        for path, leaf in leaves(copy_of_layer)
        if path not in paths and isinstance(leaf, Variable)
    ]
    if made:  # such as what the layer sowed
        update(layer, from_flat_state(made))
    return out
