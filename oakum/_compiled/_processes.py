"""State of a compiled call that several processes hold: compared before the first."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from .._repr import path_text
from ..sharding._agreement import check_agreement

_compared: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""The Variables that were found alike, by identity: their values follow from these."""


def compare_state(plan: Any, dynamic: Sequence[Any]) -> None:
    """Compares state before the first call that all processes make together.

    What a program makes without a mesh lies in each process, and the call takes it for
    one array.

    Args:
        plan: the plan of the call.
        dynamic: its arguments besides state.

    Raises:
        ArgumentValueError: processes hold different values.
    """
    # Whether they compare must not depend on what one process alone knows.
    if jax.process_count() == 1 or not any(map(_of_all, [*plan.values(), *dynamic])):
        return
    function = plan.entry.user_function.__name__
    check_agreement(f"the first call of `{function}`", _values_to_compare(plan))
    for variable in plan.variables:
        _compared[id(variable)] = variable


def _of_all(value: Any) -> bool:
    """Whether an array has parts in all processes."""
    if not isinstance(value, jax.Array) or value.is_fully_addressable:
        return False
    held = {device.process_index for device in value.sharding.device_set}
    return len(held) == jax.process_count()


def _values_to_compare(plan: Any) -> Iterator[tuple[str, Any]]:
    paths = [path for path, is_variable in plan.entry.graphdef.paths if is_variable]
    for variable, path in zip(plan.variables, paths, strict=True):
        if _compared.get(id(variable)) is not variable:
            for leaf in jax.tree.leaves(variable.get_raw_value()):
                yield name_of(path), leaf


def name_of(path: tuple) -> str:
    """How a message names a leaf of a call's `((args, kwargs), captured)`."""
    captured, group, *rest = path
    if captured:
        return "captured state"
    head = f"args[{rest[0]}]" if group == 0 else str(rest[0])
    return head + path_text(rest[1:])
