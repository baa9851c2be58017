"""Files in, findings out: reading, `# noqa`, the lines that are printed."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ._rule import Fault, File, Rule
from .rules import _classes, _copies, _keys, _leak, _lists, _lost, _saving, _stale

RULES: dict[str, Rule] = {
    module.RULE.code: module.RULE
    for module in (_leak, _stale, _lost, _keys, _copies, _classes, _lists, _saving)
}
_NOQA = re.compile(
    r"#\s*noqa(?P<codes>\s*:\s*[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)?", re.I
)
_SKIPPED = {"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"}


class Finding(NamedTuple):
    """A fault with its place: line and column count from 1."""

    path: str
    line: int
    column: int
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code} {self.text}"


class UnreadableError(Exception):
    """A file that cannot be read or parsed; the text names the place."""


def check_source(text: str, path: str = "<text>") -> list[Finding]:
    """Find the hazards in a program.

    Args:
        text: the program.
        path: its name, for the findings.

    Returns:
        The findings in the order of the lines, without those that a `# noqa` excuses.

    Raises:
        UnreadableError: the text is no Python.

    Example:
        >>> from oakum.lint import check_source
        >>> program = '''
        ... import jax
        ... import oakum as nnx
        ... model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        ... predict = jax.jit(lambda x: model(x))
        ... '''
        >>> [finding.code for finding in check_source(program)]
        ['OAK002']
    """
    return [finding for finding, _ in find_faults(text, path)]


def find_faults(text: str, path: str = "<text>") -> list[tuple[Finding, Fault]]:
    """As `check_source`, with the fault of each finding."""
    if "nnx" not in text and "oakum" not in text and "jax" not in text:
        _parse(text, path)
        return []
    file = File(_parse(text, path))
    lines = text.split("\n")  # as the parser counts them
    found: dict[tuple, tuple[Finding, Fault]] = {}
    for rule in RULES.values():
        for fault in rule.find(file):
            line, column = fault.node.lineno, fault.node.col_offset + 1  # type: ignore[attr-defined]
            if not _is_excused(lines, line, rule.code):
                finding = Finding(path, line, column, rule.code, fault.text)
                found.setdefault((line, column, rule.code), (finding, fault))
    return [found[key] for key in sorted(found)]


def check_file(path: Path) -> list[Finding]:
    """Find the hazards in a file.

    Args:
        path: a file of Python source.

    Raises:
        UnreadableError: the file cannot be read, or is no Python.
    """
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{path}: cannot be read: {error}") from error
    return check_source(text, str(path))


def iter_files(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the files that are named, and those of Python in the folders.

    Hidden folders, virtual environments and build folders are passed over.
    """
    for path in map(Path, paths):
        if path.is_dir():
            yield from _iter_folder(path)
        else:
            yield path


def _iter_folder(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED:
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _iter_folder(path)
        elif path.suffix in (".py", ".pyi"):
            yield path


def run(paths: Iterable[str | Path], codes: Iterable[str] = ()) -> int:
    """Check files and folders, and print what is found.

    Args:
        paths: files, and folders that are searched for files of Python.
        codes: the rules to check; by default all.

    Returns:
        0 where nothing was found, 1 where something was, 2 where a file could not be
        read or parsed; the others are checked all the same.
    """
    wanted = set(codes) or set(RULES)
    count = unreadable = 0
    for path in iter_files(paths):
        try:
            findings = check_file(path)
        except UnreadableError as error:
            unreadable += 1
            print(error, file=sys.stderr)
            continue
        for finding in findings:
            if finding.code in wanted:
                count += 1
                print(finding)
    if count:
        plural = "s" if count > 1 else ""
        print(
            f"{count} finding{plural}; oakum explain CODE tells more", file=sys.stderr
        )
    return 2 if unreadable else int(count > 0)


def _parse(text: str, path: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the program, about its own text
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        column = getattr(error, "offset", None) or 1
        said = getattr(error, "msg", None) or str(error)
        raise UnreadableError(
            f"{path}:{line}:{column}: does not parse: {said}"
        ) from error


def _is_excused(lines: list[str], line: int, code: str) -> bool:
    match = _NOQA.search(lines[line - 1]) if line <= len(lines) else None
    if match is None:
        return False
    codes = match["codes"]
    return codes is None or code in re.findall(r"[A-Z]+[0-9]+", codes.upper())
