"""Files and folders put through the rewriting."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..lint import iter_files
from ._names import Names
from ._program import UnreadableError, migrate_program


class Outcome(NamedTuple):
    """How many files changed, how many lines are left to a person, what failed."""

    changed: int
    notes: int
    unreadable: int


def migrate_files(
    paths: Iterable[str | Path], names: Names, *, write: bool, diff: bool
) -> Outcome:
    """Rewrite files in place, and print what was done and what is left.

    Args:
        paths: files, and folders that are searched for files of Python.
        names: what oakum has.
        write: whether to write the files; a file is replaced as a whole.
        diff: whether to print the changes.
    """
    changed = left = unreadable = 0
    for path in iter_files(paths):
        try:
            before, encoding = _read(path)
            after, notes = migrate_program(before, names)
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            unreadable += 1
            print(f"{path}: cannot be read: {error}", file=sys.stderr)
            continue
        except UnreadableError as error:
            unreadable += 1
            print(f"{path}:{error}", file=sys.stderr)
            continue
        if after != before:
            changed += 1
            if diff:
                print(_difference(before, after, path), end="")
            if write:
                _replace(path, after.encode(encoding))
                print(f"{path}: rewritten")
            elif not diff:
                print(f"{path}: would be rewritten")
        for note in notes:
            left += 1
            print(f"{path}:{note.line}: {note.text}")
    return Outcome(changed, left, unreadable)


def _read(path: Path) -> tuple[str, str]:
    """The text of a file with its own line ends, and its encoding."""
    with path.open("rb") as file:
        encoding, _ = tokenize.detect_encoding(file.readline)
    return path.read_bytes().decode(encoding), encoding


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that it is, at any moment, the old one or the new one."""
    path = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, path.stat().st_mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _difference(before: str, after: str, path: Path) -> str:
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    shown = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in shown)
