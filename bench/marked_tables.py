"""Puts a table into a page, between its marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def put_table(page: str, script: str, lines: Iterable[str]) -> None:
    """Replaces the table that a script of bench/ has in a page.

    Args:
        page: the page, from the root of the repository on.
        script: the script, whose name the mark in front of the table bears, and where
            it has several tables there, which of them.
        lines: the table.

    Raises:
        ValueError: the page has no such mark, or no end after it.
    """
    path = ROOT / page
    text = path.read_text("utf-8")
    mark = f"<!-- bench/{Path(script).name} -->"
    start = text.index(mark)
    end = text.index("<!-- end -->", start)
    table = "\n".join([mark, "", *lines, "", ""])
    path.write_text(text[:start] + table + text[end:], "utf-8")
