"""What two States, or the values of one, say of their paths."""

from __future__ import annotations

from typing import Any

from .._objects._nodes import is_variable
from ._filters import PathIn
from ._state import State, from_flat_state, to_flat_state


def diff(state: State, other: State | None) -> State:
    """The part of a State whose paths another one lacks.

    Args:
        state: a State.
        other: the other; None for none.

    Example:
        >>> import oakum as nnx
        >>> nnx.statelib.diff(nnx.State({'a': 1, 'b': 2}), nnx.State({'a': 3}))
        State(b=2)
    """
    if not other:
        return state
    known = set(to_flat_state(other).paths)
    return from_flat_state(
        [(path, x) for path, x in to_flat_state(state) if path not in known]
    )


def create_path_filters(state: State) -> dict[Any, Any]:
    """A filter for the paths of each value of a State, as `StateAxes` takes them.

    Args:
        state: a State of hashable values, such as axes, or of Variables that hold them.
    """
    paths: dict[Any, list[Any]] = {}
    for path, value in to_flat_state(state):
        value = value.get_value() if is_variable(value) else value
        paths.setdefault(value, []).append(path)
    return {PathIn(*found): value for value, found in paths.items()}
