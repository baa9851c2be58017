"""Reads tables that `tabulate` draws, ours and flax's, back into cells."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def read(table: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the cells of each row, the last row the totals."""
    rows: list[list[list[str]]] = []
    fresh = True
    for line in _ESCAPES.sub("", table).split("\n"):
        if line[:1] in ("│", "┃"):
            parts = [part.strip() for part in line.replace("┃", "│").split("│")[1:-1]]
            if fresh:
                rows.append([[] for _ in parts])
            for cell, part in zip(rows[-1], parts, strict=True):
                cell.append(part)
        fresh = line[:1] not in ("│", "┃")
    cells = [["\n".join(cell).rstrip("\n") for cell in row] for row in rows]
    return cells[0], cells[1:]


def by_path(table: str) -> dict[str, dict[str, str]]:
    """The cells of the first row with each path, by column; totals under `Total`."""
    head, rows = read(table)
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        name = "Total" if "Total" in row else row[0].split("\n")[0]
        found.setdefault(name, dict(zip(head, row, strict=True)))
    return found


def sizes(table: str) -> dict[str, dict[str, str]]:
    """The last line of each cell that holds state, by path and Variable type."""
    calls = {"path", "type", "inputs", "outputs", "flops", "vjp_flops"}
    return {
        path: {
            column: cell.split("\n")[-1]
            for column, cell in row.items()
            if column not in calls and cell
        }
        for path, row in by_path(table).items()
    }
