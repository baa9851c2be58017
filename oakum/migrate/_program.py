"""One program, from its text to the text for oakum."""

from __future__ import annotations

import ast
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper

from ._names import Names
from ._notes import Note, find_notes
from ._renames import Renamer
from ._traps import mend_traps


class Migrated(NamedTuple):
    """The new text, and what a person must look at in it."""

    text: str
    notes: list[Note]


class UnreadableError(Exception):
    """A text that is no Python; the message has the place."""


def migrate_program(text: str, names: Names) -> Migrated:
    """Rewrite a program for flax.nnx as one for oakum.

    Args:
        text: the program.
        names: what oakum has.

    Raises:
        UnreadableError: the text is no Python.
    """
    if "nnx" not in text and "oakum" not in text:
        _parse(text)
        return Migrated(text, [])
    tree = _parse(text)
    alias, keeps_flax = _full_names(tree)
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:  # a syntax newer than libcst knows
        place = f"{error.raw_line}:{error.raw_column + 1}"
        raise UnreadableError(f"{place}: does not parse: {error.message}") from error
    renamed = MetadataWrapper(module).visit(Renamer(names, alias, keeps_flax)).code
    mended = mend_traps(renamed)
    return Migrated(mended, find_notes(mended, names))


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        place = f"{getattr(error, 'lineno', None) or 1}"
        place += f":{getattr(error, 'offset', None) or 1}"
        said = getattr(error, "msg", None) or str(error)
        raise UnreadableError(f"{place}: does not parse: {said}") from error


def _full_names(tree: ast.Module) -> tuple[str, bool]:
    """What to call nnx where `flax.nnx` is written in full; whether flax stays.

    The first is empty where nothing is written in full.
    """
    bound: set[str] = set()
    uses = full = 0
    packages = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            uses += node.id == "flax"
            if isinstance(node.ctx, ast.Store):
                bound.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            full += node.value.id == "flax" and node.attr == "nnx"
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.asname or alias.name for alias in node.names}
            packages |= isinstance(node, ast.Import) and bool(
                names & {"flax", "flax.nnx"}
            )
            if not _imports_nnx(node):
                bound |= names
    if not packages or not full:
        return "", uses > full
    return ("oakum" if "nnx" in bound else "nnx"), uses > full


def _imports_nnx(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in ("flax", "flax.experimental")
    return any(alias.name in ("flax.nnx", "oakum") for alias in node.names)
