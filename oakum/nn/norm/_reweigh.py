"""Calls a layer with other values in its parameters, for the layers that wrap one."""

from __future__ import annotations

from typing import Any

from ..._graph import Path, leaves
from ..._objects import Variable, module_path
from ..._state import from_flat_state, graphdef, merge, update
from ...errors import OakumError

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
    try:
        out = copy_of_layer(*args, **kwargs)
    except OakumError as error:
        raise _renamed(error, module_path(layer)) from None
    paths = {path for path, _ in known}
    made = [
        (path, leaf)
        for path, leaf in leaves(copy_of_layer)
        if path not in paths and isinstance(leaf, Variable)
    ]
    if made:  # such as what the layer sowed
        update(layer, from_flat_state(made))
    return out


def _renamed(error: OakumError, path: str) -> OakumError:
    """The error with the user's path of the layer in place of the copy's name."""
    texts = [
        text.replace("copy_of_layer", path)
        for text in (error.what, error.where, error.remedy)
    ]
    new = type(error)(texts[0], where=texts[1], remedy=texts[2])
    return new.with_traceback(error.__traceback__)
