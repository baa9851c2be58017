"""The dotted names that stand in a scope, each once and whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..lint._scopes import Scope

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def iter_paths(scope: Scope) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the outermost of all names and attributes that a scope itself reads."""
    nodes = list(_own_children(scope.node))
    while nodes:
        node = nodes.pop()
        if isinstance(node, _SCOPES):
            nodes += _outer_children(node)
            continue
        if isinstance(node, (ast.Name, ast.Attribute)) and _root(node) is not None:
            yield node
            continue
        nodes += ast.iter_child_nodes(node)


def _own_children(node: ast.AST) -> Iterator[ast.AST]:
    body = getattr(node, "body", ())
    yield from body if isinstance(body, list) else [body]  # type: ignore[misc]


def _outer_children(node: ast.AST) -> Iterator[ast.AST]:
    """What of a nested definition is evaluated around it."""
    yield from getattr(node, "decorator_list", ())
    yield from getattr(node, "bases", ())
    args = getattr(node, "args", None)
    if isinstance(args, ast.arguments):
        yield from args.defaults
        yield from (default for default in args.kw_defaults if default is not None)


def _root(node: ast.AST) -> ast.Name | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node if isinstance(node, ast.Name) else None
