"""Writes to the state of nnx objects, as they stand in the text.

Only what is certainly a write counts: `optimizer.update(…)` where the name is bound to
an optimizer, or is called so and the result is not used (what optax returns always is);
an assignment to the value or an attribute of what is known to be an nnx object; a draw
from an `Rngs`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from ._scopes import Scope
from ._source import Source

_OPTIMIZER_NAME = re.compile(r"(^|_)(optimizer|optim|opt|optimiser)(_|$)")
_STATEFUL = {"optimizer", "metric"}
_NNX = {"module", "optimizer", "metric", "variable"}
_METHODS = {
    "update": {"optimizer", "metric"},
    "reset": {"metric"},
    "train": {"module"},
    "eval": {"module"},
    "set_attributes": {"module"},
    "set_value": {"variable"},
    "sow": {"module"},
}
_FUNCTIONS = {"nnx.update", "nnx.pop", "nnx.reseed"}


class Write(NamedTuple):
    """A write to an object: the expression that names it, and the statement."""

    target: ast.expr
    node: ast.AST
    verb: str  # "updated", "written", "drawn from"


def iter_writes(source: Source, scope: Scope) -> Iterator[Write]:
    """All certain writes to nnx objects in a scope."""
    for target, statement in scope.writes:
        assert isinstance(target, (ast.Attribute, ast.Subscript))
        kind = known_kind(source, target.value, scope)
        if kind in _NNX:
            yield Write(target.value, statement, "written")
    for call in scope.calls:
        yield from _writes_of_call(source, call, scope)


def root_of(node: ast.AST) -> ast.Name | None:
    """The name that a path of attributes and subscripts begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node if isinstance(node, ast.Name) else None


def known_kind(source: Source, node: ast.AST, scope: Scope) -> str | None:
    """The kind of the nearest part of a path that is known: `model` of `model.w`."""
    while True:
        kind = source.kind(node, scope)
        if kind is not None or not isinstance(node, (ast.Attribute, ast.Subscript)):
            return kind
        node = node.value


def object_path(source: Source, node: ast.AST, scope: Scope) -> ast.AST:
    """The shortest part of a path that is a known nnx object, else the whole."""
    best = node
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
        if source.kind(node, scope) in (*_NNX, "rngs"):
            best = node
    return best


def _writes_of_call(source: Source, call: ast.Call, scope: Scope) -> Iterator[Write]:
    func = call.func
    if isinstance(func, ast.Attribute) and _updates(source, call, func, scope):
        yield Write(func.value, call, "updated")
    elif isinstance(func, ast.Attribute) and source.kind(func.value, scope) == "rngs":
        yield Write(func.value, call, "drawn from")
    elif source.kind(func, scope) == "rngs":
        yield Write(func, call, "drawn from")
    yield from _writes_to_arguments(source, call, scope)


def _updates(
    source: Source, call: ast.Call, method: ast.Attribute, scope: Scope
) -> bool:
    """Whether a method changes the object that it is called of."""
    kind = source.kind(method.value, scope)
    if kind in _METHODS.get(method.attr, ()):
        return True
    if method.attr != "update" or kind is not None or not source.uses_nnx:
        return False
    is_optimizer = _OPTIMIZER_NAME.search(_last_name(method.value)) is not None
    return is_optimizer and call in scope.statements


def _writes_to_arguments(
    source: Source, call: ast.Call, scope: Scope
) -> Iterator[Write]:
    named = source.qualify(call.func, scope) in _FUNCTIONS or _sets_attribute(call.func)
    for target in call.args[:1] if named else []:
        if known_kind(source, target, scope) in _NNX:
            yield Write(target, call, "written")
    if source.kind(call, scope) == "module" and not _copies(source, call, scope):
        for argument in [*call.args, *(k.value for k in call.keywords)]:
            if source.kind(argument, scope) == "rngs" and root_of(argument):
                yield Write(argument, call, "drawn from")


def _sets_attribute(func: ast.expr) -> bool:
    return ast.unparse(func) in ("setattr", "delattr", "object.__setattr__")


def _copies(source: Source, call: ast.Call, scope: Scope) -> bool:
    return source.qualify(call.func, scope).rpartition(".")[2][:1].islower()


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
