"""What a person must look at, found in the program as it is after the rewriting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from .._elsewhere import NAMES
from ..lint import find_faults
from ..lint._scopes import Scope
from ..lint._source import Source
from ._names import MODE_SWITCHES, REMEDIES, Names, present_name


class Note(NamedTuple):
    """A line that the rewriting could not settle, and why."""

    line: int
    text: str


def find_notes(text: str, names: Names) -> list[Note]:
    """List what a person must look at in a program."""
    source = Source(ast.parse(text))
    notes = {*_imports(source), *_names(source, names)}
    notes |= {
        Note(finding.line, f"{finding.code} {finding.text}")
        for finding, _ in find_faults(text)
    }
    return sorted(notes)


def _imports(source: Source) -> Iterator[Note]:
    """Imports of flax.nnx that stay."""
    for scope in source.scopes:
        for bindings in scope.bindings.values():
            for binding in bindings:
                name = binding.qualified
                if not name.startswith(("flax.nnx", "flax.experimental.nnx")):
                    continue
                line = binding.value.lineno  # type: ignore[union-attr]
                yield Note(line, f"`{name}` stays in flax: {_remedy(name)}")


def _names(source: Source, names: Names) -> Iterator[Note]:
    """Names below nnx that oakum lacks, and modes that are asked for."""
    for scope in source.scopes:
        for node in _paths(scope):
            qualified = source.qualify(node, scope)
            if not qualified.startswith("nnx."):
                continue
            if _is_from_flax(source, node, scope):
                continue
            first = qualified.split(".")[1]
            if first in MODE_SWITCHES:
                yield Note(
                    node.lineno, f"`nnx.{first}`: oakum has one mode; take it away"
                )
            elif present_name(first, names) is None:
                yield Note(node.lineno, f"oakum has no `nnx.{first}`: {_remedy(first)}")


def _is_from_flax(source: Source, node: ast.expr, scope: Scope) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    assert isinstance(node, ast.Name)
    found = source.lookup(node.id, scope)
    return found is not None and found[1][-1].qualified.startswith("flax.")


def _paths(scope: Scope) -> Iterator[ast.Attribute]:
    nodes = [scope.node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Attribute):
            inner: ast.AST = node
            while isinstance(inner, ast.Attribute):
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield node
                continue
        for child in ast.iter_child_nodes(node):
            inner_scope = isinstance(
                child,
                (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
            )
            if not inner_scope:
                nodes.append(child)
            elif not isinstance(child, ast.Lambda):
                nodes += child.decorator_list
                nodes += getattr(child, "bases", ())


def _remedy(name: str) -> str:
    for part in reversed(name.split(".")):
        if part in REMEDIES:
            return REMEDIES[part]
        if part in NAMES:
            return f"write {NAMES[part][1]}"
    return "see what it does, and what of oakum does it"
