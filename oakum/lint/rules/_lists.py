"""OAK007: a list of layers is filled by another name than the module's."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._rule import Fault, File, Rule
from .._scopes import Scope
from .._source import Source

_FILLS = {"append", "extend", "insert", "setdefault", "update"}


def find(file: File) -> Iterator[Fault]:
    """Find lists and dicts that a module was given empty, and that are filled later."""
    source = file.source
    for scope in source.scopes:
        for target, statement in scope.writes:
            found = _given(source, target, statement, scope)
            if found is None:
                continue
            name, attribute = found
            for node in _fills(source, name, scope):
                if node.lineno > statement.lineno:  # type: ignore[attr-defined]
                    yield _fault(node, name, attribute, scope)
                    break
        if source.uses_flax:
            yield from _aliases(source, scope)


def _given(
    source: Source, target: ast.expr, statement: ast.AST, scope: Scope
) -> tuple[str, str] | None:
    """`layers` and `self.layers` of `self.layers = layers`, where that is a list."""
    value = getattr(statement, "value", None)
    if not isinstance(target, ast.Attribute) or not isinstance(value, ast.Name):
        return None
    if not isinstance(statement, ast.Assign) or target not in statement.targets:
        return None
    if source.kind(target.value, scope) != "module":
        return None
    bound = source.only_value(value.id, scope)
    if bound is None or not _is_container(bound[0]):
        return None
    return value.id, ast.unparse(target)


def _aliases(source: Source, scope: Scope) -> Iterator[Fault]:
    """`layers = self.layers` for a list that is filled: in flax a static attribute."""
    for name, bindings in scope.bindings.items():
        value = bindings[0].value
        if len(bindings) != 1 or not isinstance(value, ast.Attribute):
            continue
        if bindings[0].how != "assign" or source.kind(value.value, scope) != "module":
            continue
        values = list(source.attribute_values(value, scope))
        if not values or not all(_is_container(each) for each, _ in values):
            continue
        for node in _fills(source, name, scope):
            yield _fault(node, name, ast.unparse(value), scope)
            break


def _is_container(value: ast.AST) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("list", "dict") and not value.args
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, ast.List) and not value.elts


def _fills(source: Source, name: str, scope: Scope) -> Iterator[ast.expr]:
    """Where layers or Variables are put into a container by its name."""
    for call in scope.calls:
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _FILLS:
            continue
        here = isinstance(func.value, ast.Name) and func.value.id == name
        if here and any(_is_state(source, argument, scope) for argument in call.args):
            yield call
    for target, statement in scope.writes:
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            value = getattr(statement, "value", target)
            if target.value.id == name and _is_state(source, value, scope):
                yield target


def _is_state(source: Source, node: ast.AST, scope: Scope) -> bool:
    if isinstance(node, (ast.List, ast.Tuple)):
        return any(_is_state(source, each, scope) for each in node.elts)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return _is_state(source, node.elt, scope)
    return source.kind(node, scope) in ("module", "variable")


def _fault(node: ast.expr, name: str, attribute: str, scope: Scope) -> Fault:
    return Fault(
        node,
        f"`{name}` is filled after it was assigned to `{attribute}`, and the module "
        f"does not see what comes in by another name; fill it first, or write "
        f"`{attribute}.append(…)`",
        scope,
    )


RULE = Rule(
    "OAK007",
    "a list of layers is filled by another name",
    """\
A module looks at a list or dict when it is assigned, and at changes through its own
attribute. What is put into the list later by another name is not seen: the layers are
missing from `nnx.state` and are not trained. Under flax.nnx, where a plain list is a
static attribute, the same holds for `layers = self.layers`.""",
    """\
class Stack(nnx.Module):
    def __init__(self, rngs):
        layers = []
        self.layers = layers
        for _ in range(2):
            layers.append(nnx.Linear(3, 3, rngs=rngs))


assert nnx.state(Stack(nnx.Rngs(0)))""",
    """\
class Stack(nnx.Module):
    def __init__(self, rngs):
        self.layers = []
        for _ in range(2):
            self.layers.append(nnx.Linear(3, 3, rngs=rngs))


assert nnx.state(Stack(nnx.Rngs(0)))""",
    find,
)
