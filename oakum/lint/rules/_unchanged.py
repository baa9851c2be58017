"""Captured models that nothing can change: made, compiled and called in one function.

A test makes a model, compiles `lambda x: model(x)`, calls it and compares. Neither the
model nor the compiled function goes anywhere, and nothing trains: what `jax.jit` keeps
stays true.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._rule import File
from .._scopes import Scope
from .._traces import Trace

# What may be asked about a model without its being changed, beside calling it.
_HARMLESS = ("nnx.state", "nnx.split", "nnx.graphdef", "nnx.clone", "nnx.display")
_PREPARING = ("nnx.update", *_HARMLESS)
_CHANGING = {"train", "eval", "set_attributes", "set_value", "update", "sow", "perturb"}


def stays_unchanged(file: File, name: str, home: Scope, trace: Trace) -> bool:
    """Whether a model lives in one function, which compiles a read of it alone."""
    bindings = home.bindings[name]
    made = [b for b in bindings if b.how == "assign" and isinstance(b.value, ast.Call)]
    if home.kind != "function" or len(made) != 1 or len(bindings) != 1:
        return False
    if trace.scope is not home or made[0].loops:
        return False
    if not _stays_here(trace, home, file):
        return False
    if _is_written(file, name, home):
        return False
    start: int = trace.node.lineno  # type: ignore[attr-defined]
    return all(_is_read(file, *use, start) for use in _uses(file, name, home))


def _is_written(file: File, name: str, home: Scope) -> bool:
    return any(
        isinstance(target, (ast.Attribute, ast.Subscript)) and _root(target) == name
        for scope in file.source.scopes
        if scope.is_inside(home)
        for target, _ in scope.writes
    )


def _uses(
    file: File, name: str, home: Scope
) -> Iterator[tuple[ast.Name, ast.AST | None, Scope]]:
    """Each load of a name, with the call that it is an argument of, and its scope."""
    for scope in file.source.scopes:
        if not scope.is_inside(home):
            continue
        loads = scope.loads.get(name, ())
        if not loads:
            continue
        parents = _parents(scope.node)
        for load in loads:
            yield load, parents.get(load), scope


def _is_read(
    file: File, load: ast.Name, parent: ast.AST | None, scope: Scope, start: int
) -> bool:
    if isinstance(parent, ast.Call):
        if parent.func is load:  # `model(x)`
            return True
        called = file.source.qualify(parent.func, scope)
        return called in (_HARMLESS if load.lineno > start else _PREPARING)
    if isinstance(parent, ast.Attribute):
        return parent.attr not in _CHANGING
    return False


def _stays_here(trace: Trace, home: Scope, file: File) -> bool:
    """Whether a compiled function is called by its name, and no more."""
    if trace.is_decorator:
        name = trace.root.name
    else:
        names = [
            name
            for name, bindings in home.bindings.items()
            if len(bindings) == 1 and bindings[0].value is trace.node
        ]
        if len(names) != 1:
            return False
        name = names[0]
    calls = 0
    for load, parent, _ in _uses(file, name, home):
        if not isinstance(parent, ast.Call) or parent.func is not load:
            return False
        calls += 1
    return calls > 0


def _parents(node: ast.AST) -> dict[ast.AST, ast.AST]:
    return {
        child: parent
        for parent in ast.walk(node)
        for child in ast.iter_child_nodes(parent)
    }


def _root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
