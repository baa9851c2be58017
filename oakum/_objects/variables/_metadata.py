"""Metadata of Variables, and initializers that give it to the Variables they fill."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

A = TypeVar("A")
HOOKS = (
    "on_get_value",
    "on_set_value",
    "on_create_value",
    "on_add_axis",
    "on_remove_axis",
)


class VariableMetadata(Generic[A]):
    """A value together with the metadata that its Variable is to carry.

    `with_metadata(initializer, ...)` returns one, and `Variable(...)` takes it apart.

    Args:
        raw_value: the array.
        metadata: what the Variable is to carry.
    """

    def __init__(
        self,
        raw_value: A,
        on_set_value: tuple = (),
        on_get_value: tuple = (),
        on_create_value: tuple = (),
        on_add_axis: tuple = (),
        on_remove_axis: tuple = (),
        metadata: Mapping[str, Any] | None = None,
    ):
        self.raw_value = raw_value
        self.metadata = dict(metadata or {})
        given = (
            on_get_value,
            on_set_value,
            on_create_value,
            on_add_axis,
            on_remove_axis,
        )
        self.hooks = {n: h for n, h in zip(HOOKS, given, strict=True) if h}


def with_metadata(
    initializer: Callable[..., Any],
    on_set_value: Any = (),
    on_get_value: Any = (),
    on_create_value: Any = (),
    on_add_axis: Any = (),
    on_remove_axis: Any = (),
    **metadata: Any,
) -> Callable[..., VariableMetadata]:
    """An initializer whose Variables carry metadata and hooks.

    Args:
        initializer: a function of key, shape and dtype.
        on_set_value, on_get_value, on_create_value: functions of Variable and value.
        on_add_axis, on_remove_axis: functions of Variable, axis index and name.
        **metadata: names and values.

    Example:
        >>> import oakum as nnx
        >>> init = nnx.with_metadata(nnx.initializers.ones_init(), note='scale')
        >>> nnx.Linear(2, 3, kernel_init=init, rngs=nnx.Rngs(0)).kernel.note
        'scale'
    """

    of_value = (on_set_value, on_get_value, on_create_value)
    of_axes = (on_add_axis, on_remove_axis)

    @functools.wraps(initializer)
    def wrapped(*args: Any, **kwargs: Any) -> VariableMetadata:
        value = initializer(*args, **kwargs)
        return VariableMetadata(value, *of_value, *of_axes, metadata)

    return wrapped
