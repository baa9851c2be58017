"""tabulate: a table of what a model holds, and of what its layers take and return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from .._graph import Path
from .._objects import is_data, is_layer
from .._rngs import RngStream
from .._state import is_frozen
from ..errors import ArgumentError, ArgumentValueError
from ._calls import Call, record_calls
from ._cost import Costs
from ._inventory import (
    Entry,
    kind_name,
    kind_of,
    path_text,
    size_of,
    take_inventory,
    total,
)
from ._table import Table, draw
from ._text import held_text, size_text

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table, as a `row_filter` sees it.

    Attributes:
        path: where the object stands, and the name of a method other than `__call__`.
        type: its type.
        inputs_repr, outputs_repr: text of what it takes and returns.
        flops, vjp_flops: what that costs, where it was asked for.
        entry: what the object holds; None for its further calls.
    """

    path: Path
    type: type
    inputs_repr: str = ""
    outputs_repr: str = ""
    flops: int | None = None
    vjp_flops: int | None = None
    entry: Entry | None = None


def filter_rng_streams(row: Row) -> bool:
    """Leaves the streams of random keys out."""
    return not issubclass(row.type, RngStream)


def tabulate(
    obj: Any,
    *input_args: Any,
    depth: int | None = None,
    method: str = "__call__",
    row_filter: Callable[[Row], bool] = filter_rng_streams,
    table_kwargs: Mapping[str, Any] = _NONE,
    column_kwargs: Mapping[str, Any] = _NONE,
    console_kwargs: Mapping[str, Any] = _NONE,
    compute_flops: bool = False,
    compute_vjp_flops: bool = False,
    **input_kwargs: Any,
) -> str:
    """Shows a model as a table: paths, types, Variables, and each layer's inputs.

    With inputs, the model runs on shapes alone: nothing is computed or allocated, and
    it stays as it is. `jax.ShapeDtypeStruct` may stand for arrays, in the model too.

    Args:
        obj: a model, another object such as an Optimizer, or a pytree of these.
        *input_args: what to call it with; without any, the table has no inputs.
        depth: how long the paths may be.
        method: the method to call.
        row_filter: a function of a row (`path`, `type`, `inputs_repr`, `outputs_repr`,
            `flops`, `vjp_flops`) that says whether to show it. By default all but the
            streams of random keys.
        table_kwargs, column_kwargs, console_kwargs: options of rich's `Table`,
            `add_column` and `Console`, where it is installed (`oakum[display]`).
        compute_flops: whether to show the FLOPs of each call, as XLA estimates them for
            the CPU before it optimizes; all rounds of a `scan` count, of a `while_loop`
            one. A `?` where that cannot be told.
        compute_vjp_flops: whether to show those of a call with its gradient.
        **input_kwargs: what to call it with, by name.

    Returns:
        The table. A shared layer or Variable is shown and counted once, at the first of
        its paths, with a note of the others.

    Raises:
        ArgumentError: `obj` holds no state.
        ArgumentValueError: it has no such method.

    Example:
        >>> import oakum as nnx, jax.numpy as jnp
        >>> model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu)
        >>> table = nnx.tabulate(model, jnp.ones((1, 2)))
        >>> 'float32[1,2]' in table, '9 (36 B)' in table
        (True, True)
    """
    if not is_data(obj):
        raise ArgumentError(
            f"tabulate takes a model, got {type(obj).__name__} without any state",
            remedy="nnx.tabulate(model, *inputs), with the model itself.",
        )
    wanted = {"flops": False} if compute_flops else {}
    wanted |= {"vjp_flops": True} if compute_vjp_flops else {}
    runs = bool(input_args or input_kwargs or wanted or method != "__call__")
    calls: dict[int, list[Call]] = {}
    if runs:
        _check_method(obj, method)
        for call in record_calls(obj, method, input_args, input_kwargs, bool(wanted)):
            calls.setdefault(call.number, []).append(call)
    entries = take_inventory(obj)
    costs = Costs()
    rows = [
        row
        for number, entry in enumerate(entries)
        if depth is None or len(entry.path) <= depth
        for row in _rows(entry, calls.get(number, []), wanted, costs)
        if row_filter(row)
    ]
    columns = [*["inputs", "outputs"] * runs, *wanted]
    table = _table(type(obj).__name__, entries, rows, columns)
    return draw(table, table_kwargs, column_kwargs, console_kwargs)


def _check_method(obj: Any, method: str) -> None:
    if not callable(getattr(obj, method, None)):
        raise ArgumentValueError(
            f"tabulate: a {type(obj).__name__} has no method {method!r}",
            remedy="name another with method=..., or give no inputs.",
        )


def _rows(
    entry: Entry, calls: list[Call], wanted: Mapping[str, bool], costs: Costs
) -> Iterator[Row]:
    """The row of an object, then those of its further calls."""
    kind = type(entry.node)
    by_call = []
    for call in calls:
        path = entry.path if call.method == "__call__" else (*entry.path, call.method)
        counts: dict[str, Any] = {
            name: costs.flops(call.request, backward)
            for name, backward in wanted.items()
        }
        by_call.append(Row(path, kind, call.inputs, call.outputs, **counts))
    own = next((row for row in by_call if row.path == entry.path), None)
    if own is None and by_call:
        own = by_call[0]
    if own is not None:
        by_call.remove(own)
        yield dataclasses.replace(own, entry=entry)
    elif entry.held or entry.parent is None or is_layer(kind):
        yield Row(entry.path, kind, entry=entry)
    yield from by_call


def _table(
    name: str, entries: list[Entry], rows: list[Row], columns: list[str]
) -> Table:
    totals = entries[0].sizes
    kinds = sorted(totals, key=kind_name)
    head = ["path", "type", *columns, *map(kind_name, kinds)]
    foot = [*[""] * (1 + len(columns)), "Total", *[size_text(totals[k]) for k in kinds]]
    cells = [
        [
            *_heading(row),
            *[_call_cell(row, c) for c in columns],
            *_state_cells(row, kinds),
        ]
        for row in rows
    ]
    return Table(f"{name} Summary", head, cells, foot, _caption(entries))


def _heading(row: Row) -> list[str]:
    also = row.entry.also if row.entry is not None else []
    lines = [path_text(row.path), *[f"also {path_text(path)}" for path in also]]
    return ["\n".join(lines), row.type.__name__]


def _call_cell(row: Row, column: str) -> str:
    if column == "inputs":
        return row.inputs_repr
    if column == "outputs":
        return row.outputs_repr
    count = getattr(row, column)
    return str(count) if count is not None else "?" if row.outputs_repr else ""


def _state_cells(row: Row, kinds: list[type]) -> Iterator[str]:
    for kind in kinds:
        if row.entry is None:
            yield ""
            continue
        found = [h for h in row.entry.held if kind_of(h.value) is kind]
        held = [held_text(h) for h in sorted(found, key=lambda h: h.name)]
        size = row.entry.sizes.get(kind)
        whole = [size_text(size)] if size is not None else []
        yield "\n".join([*held, *[""] * bool(held and whole), *whole])


def _caption(entries: list[Entry]) -> str:
    frozen = [
        size_of(held.value)
        for entry in entries
        for held in entry.held
        if held.same_as is None and is_frozen(held.value)
    ]
    everything = size_text(total(entries[0].sizes.values()))
    note = f", of which {size_text(total(frozen))} frozen" if frozen else ""
    return f"Total Parameters: {everything}{note}"
