"""What is added to JAX's error about explicit axes: whose it is, and what to write."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import jax

from .._compat._shardings import is_sharding_type_error
from .._objects import Variable

_START = "This is"


@contextlib.contextmanager
def sharding_explained(layer: Any, option: str = "out_sharding") -> Iterator[None]:
    """Adds a note to an error about explicit axes.

    Args:
        layer: whose parameters it names.
        option: the argument of its call that says where the result goes.
    """
    try:
        yield
    except Exception as error:
        note_sharding(error, layer, option)
        raise


def note_sharding(error: Exception, layer: Any, option: str = "out_sharding") -> None:
    """Adds the note, unless it is another error, or has one from a layer within."""
    notes = getattr(error, "__notes__", ())
    if not is_sharding_type_error(error) or any(_START in note for note in notes):
        return
    params = ", ".join(
        f"{name} {jax.typeof(value)}"
        for name, value in _arrays(layer)
        if isinstance(value, jax.Array)
    )
    takes = inspect.signature(type(layer).__call__).parameters
    told = (
        "say where the result goes, "
        f"layer(x, {option}=NamedSharding(mesh, P('data'))), or "
        if option in takes
        else "split another axis of it, or "
    )
    error.add_note(
        f"{_START} a {type(layer).__name__} with {params or 'no arrays'} (after @, "
        "the axis of the mesh that an axis is split over). "
        f"Instead: {told}make the mesh with "
        "axis_types=(jax.sharding.AxisType.Auto, ...), where the compiler finds out."
    )


def _arrays(layer: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in vars(layer).items():
        if isinstance(child, Variable):
            yield above + name, child.get_raw_value()
        elif not above and hasattr(child, "kernel"):
            yield from _arrays(child, f"{name}.")
