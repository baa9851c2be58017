"""What is checked before anything is saved or loaded."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ... import _guard as guard
from ...errors import (
    ArgumentError,
    DeletedArrayError,
    TraceContextError,
)
from ._contents import Item, collect, is_key, path_text


def check_no_trace(verb: str) -> None:
    if guard.current_trace() == guard.ROOT:
        return
    raise TraceContextError(
        f"nnx.{verb} was called while a transform is tracing: the function runs once, "
        "with tracers in place of values. Nothing was written.",
        where=guard.describe(guard.here()),
        remedy=f"{verb} outside of the transformed function, after it returned:"
        "\n\n    train_step(model, optimizer, batch)"
        f"\n    nnx.{verb}(path, model=model, optimizer=optimizer)",
    )


def check_named(verb: str, unnamed: tuple[Any, ...]) -> None:
    if unnamed:
        kind = type(unnamed[0]).__name__
        raise ArgumentError(
            f"nnx.{verb} was given a {kind} without a name, by which a file knows it",
            remedy=f"name each: nnx.{verb}(path, model=model, optimizer=optimizer).",
        )


def collect_all(verb: str, objects: dict[str, Any]) -> list[Item]:
    if not objects:
        raise ArgumentError(
            f"nnx.{verb} was given no objects",
            remedy=f"name each: nnx.{verb}(path, model=model, optimizer=optimizer).",
        )
    return [item for name, obj in objects.items() for item in collect(name, obj)]


def check_savable(item: Item) -> None:
    """Raises where a value cannot be written, before anything is."""
    text = path_text(item.path)
    for _, leaf in item.leaves():
        if isinstance(leaf, Tracer):
            raise TraceContextError(
                f"{item.kind} `{text}` holds a tracer of a trace that is over",
                remedy="pass the object to the transform as an argument, so that its "
                "value comes out: nnx.jit(step)(model).",
            )
        if isinstance(leaf, jax.Array) and leaf.is_deleted():
            raise DeletedArrayError(
                f"{item.kind} `{text}` holds an array that was donated elsewhere",
                remedy="save before the array is donated, or donate a copy.",
            )
        if not _is_storable(leaf):
            raise ArgumentError(
                f"{item.kind} `{text}` holds a {type(leaf).__name__} that a checkpoint "
                f"cannot hold: {leaf!r:.60}",
                remedy="give it an array of numbers or truth values.",
            )


def _is_storable(leaf: Any) -> bool:
    if isinstance(leaf, bool | int | float | complex) or is_key(leaf):
        return True
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, jax.ShapeDtypeStruct):
        return False
    try:
        return np.dtype(np.dtype(dtype).name).kind not in "OSUMm"
    except TypeError:
        return False
