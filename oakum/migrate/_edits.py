"""Edits of a text at the places that a tree of `ast` gives."""

from __future__ import annotations

import ast
import io
import tokenize


class Edits:
    """Replacements in a text, made all at once.

    `ast` counts columns in bytes of UTF-8, so that the text is kept as bytes.
    """

    def __init__(self, text: str):
        self.data = text.encode()
        self._has_returns = b"\r\n" in self.data
        self._lines = [0]
        for line in self.data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._edits: list[tuple[int, int, bytes]] = []

    def place(self, line: int, column: int) -> int:
        """The place of a line and column as `ast` counts them."""
        return self._lines[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Where a node begins and ends."""
        start = self.place(node.lineno, node.col_offset)
        return start, self.place(node.end_lineno or 0, node.end_col_offset or 0)

    def text_of(self, start: int, end: int) -> str:
        """A part of the text."""
        return self.data[start:end].decode()

    def replace(self, start: int, end: int, new: str) -> None:
        """Put a new text in the place of an old one."""
        new = new.replace("\r\n", "\n")
        if self._has_returns:
            new = new.replace("\n", "\r\n")
        self._edits.append((start, end, new.encode()))

    def result(self) -> str:
        """The text with all replacements."""
        data = self.data
        for start, end, new in sorted(self._edits, reverse=True):
            data = data[:start] + new + data[end:]
        return data.decode()

    def signature(self, node: ast.FunctionDef) -> tuple[int, int, int]:
        """Where the brackets of a `def` open and close, and its colon."""
        start = self.place(node.lineno, 0)
        text = self.data[start : self.span(node)[1]].decode()
        lines = io.StringIO(text).readlines()
        depth, opened, closed = 0, -1, -1
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.OP:
                continue
            before = "".join(lines[: token.start[0] - 1])
            at = before + lines[token.start[0] - 1][: token.start[1]]
            place = start + len(at.encode())
            if token.string in "([{":
                opened = place if opened < 0 else opened
                depth += 1
            elif token.string in ")]}":
                depth -= 1
                closed = place if depth == 0 and closed < 0 else closed
            elif token.string == ":" and depth == 0:
                return opened, closed, place
        raise AssertionError(f"def without a colon in line {node.lineno}")
