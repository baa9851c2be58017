"""A table of text, drawn by rich where it is installed, else in plain text."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Table(NamedTuple):
    """The content of a table; a cell may have several lines.

    Attributes:
        title: what stands above it.
        head: the names of the columns.
        rows: the cells, row by row.
        foot: the last row.
        caption: what stands below it.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    foot: list[str]
    caption: str


def draw(
    table: Table,
    table_kwargs: Mapping[str, Any],
    column_kwargs: Mapping[str, Any],
    console_kwargs: Mapping[str, Any],
) -> str:
    """The table as text.

    Args:
        table: the content.
        table_kwargs, column_kwargs, console_kwargs: for rich's `Table`, `add_column`
            and `Console`; without effect where it is not installed.
    """
    try:
        return _draw_rich(table, table_kwargs, column_kwargs, console_kwargs)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        return "\n".join(_plain_lines(table)) + "\n"


def _draw_rich(
    table: Table, table_kwargs: Any, column_kwargs: Any, console_kwargs: Any
) -> str:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table as RichTable
    from rich.text import Text

    options: dict[str, Any] = {"title": table.title, "caption": f"\n{table.caption}"}
    options |= {"show_lines": True, "show_footer": True, "caption_style": "bold"}
    drawn = RichTable(**{**options, **table_kwargs})
    for name, foot in zip(table.head, table.foot, strict=True):
        justify: Any = "right" if foot == "Total" else None
        footer = Text(foot, justify=justify)
        column = {"overflow": "fold", "footer": footer, **column_kwargs}
        drawn.add_column(name, **column)
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    file = io.StringIO()
    # Not as in a notebook, where rich shows at once what is to be returned as text.
    given = {"file": file, "force_terminal": True, "force_jupyter": False}
    console = Console(**{**given, **console_kwargs})
    if "width" not in console_kwargs and not shutil.get_terminal_size((0, 0)).columns:
        # No terminal whose width it would have to fit in.
        wide = console.options.update(width=100_000)
        console.width = Measurement.get(console, wide, drawn).maximum
    console.print(drawn)
    return file.getvalue()


def _plain_lines(table: Table) -> Iterator[str]:
    cells = [table.head, *table.rows, table.foot]
    widths = [
        max(len(line) for cell in column for line in cell.split("\n"))
        for column in zip(*cells, strict=True)
    ]
    width = sum(widths) + 3 * len(widths) + 1
    yield table.title.center(width).rstrip()
    yield _rule(widths, "┌┬┐")
    for number, row in enumerate(cells):
        if number > 0:
            yield _rule(widths, "├┼┤")
        parts = [cell.split("\n") for cell in row]
        for lines in itertools.zip_longest(*parts, fillvalue=""):
            padded = [s.ljust(n) for s, n in zip(lines, widths, strict=True)]
            yield f"│ {' │ '.join(padded)} │"
    yield _rule(widths, "└┴┘")
    yield table.caption.center(width).rstrip()


def _rule(widths: list[int], corners: str) -> str:
    left, middle, right = corners
    return left + middle.join(["─" * (width + 2) for width in widths]) + right
