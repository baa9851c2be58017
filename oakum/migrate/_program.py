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
    nodes = list(ast.walk(tree))
    uses = sum(isinstance(node, ast.Name) and node.id == "flax" for node in nodes)
    full = sum(map(_is_full_name, nodes))
    if not full or not any(map(_imports_package, nodes)):
        return "", uses > full
    bound = {name for node in nodes for name in _bound_by(node)}
    return ("oakum" if "nnx" in bound else "nnx"), uses > full


def _is_full_name(node: ast.AST) -> bool:
    """Whether a node is `flax.nnx`."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return (node.value.id, node.attr) == ("flax", "nnx")


def _imports_package(node: ast.AST) -> bool:
    if not isinstance(node, ast.Import):
        return False
    return bool(_imported_as(node) & {"flax", "flax.nnx"})


def _bound_by(node: ast.AST) -> set[str]:
    """The names that a node binds, but for those of nnx itself."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, (ast.Import, ast.ImportFrom)) and not _imports_nnx(node):
        return _imported_as(node)
    return set()


def _imported_as(node: ast.Import | ast.ImportFrom) -> set[str]:
    return {alias.asname or alias.name for alias in node.names}


def _imports_nnx(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in ("flax", "flax.experimental")
    return any(alias.name in ("flax.nnx", "oakum") for alias in node.names)
