"""OAK006: a class that holds layers and has no base class."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .._rule import Fault, File, Rule
from .._scopes import Scope
from .._source import Source

# A trainer or an agent holds models, and is no layer.
_TRAINS = re.compile(r"_?(train|fit|step|update|learn|act$|sample$)")


def find(file: File) -> Iterator[Fault]:
    """Find classes that forget `(nnx.Module)`."""
    source = file.source
    if not source.uses_nnx:
        return
    for scope in source.scopes:
        if scope.kind != "class" or source.family(scope) != "plain":
            continue
        held = _held(source, scope)
        if held is not None and _is_layer(source, scope, held[1]):
            assert isinstance(scope.node, ast.ClassDef)
            name = scope.node.name
            yield Fault(
                scope.node,
                f"`{name}` holds state in `self.{held[0]}` and is no module, so that "
                f"no transform, gradient or `nnx.state` sees it: "
                f"`class {name}(nnx.Module):`",
                scope,
            )


def _held(source: Source, scope: Scope) -> tuple[str, str] | None:
    """An attribute that `__init__` sets to a layer or a Variable, and which it is."""
    found = None
    for name, values in source.attributes_of(scope).items():
        for value, place in values:
            if place.name != "__init__":
                continue
            kind = _kind_of_part(source, value, place)
            if kind == "variable":
                return name, kind
            if kind == "module" and found is None:
                found = name, kind
    return found


def _kind_of_part(source: Source, value: ast.AST, place: Scope) -> str | None:
    if isinstance(value, ast.List) and value.elts:
        value = value.elts[0]
    elif isinstance(value, ast.ListComp):
        value = value.elt
    if not isinstance(value, ast.Call):  # what is made elsewhere is held by any class
        return None
    return source.kind(value, place)


def _is_layer(source: Source, scope: Scope, kind: str) -> bool:
    """Whether a class is written as a layer is: called, made with streams."""
    init = scope.bindings["__init__"][0].value if "__init__" in scope.bindings else None
    made = source.of_node[init].parameters if init in source.of_node else []
    names = set(scope.bindings)
    if any(_TRAINS.match(name) for name in names) or _has_optimizer(source, scope):
        return False
    return "__call__" in names or (kind == "variable" and "rngs" in made)


def _has_optimizer(source: Source, scope: Scope) -> bool:
    return any(
        source.kind(value, place) == "optimizer"
        for values in source.attributes_of(scope).values()
        for value, place in values
    )


RULE = Rule(
    "OAK006",
    "a class that holds layers is no module",
    """\
A class whose `__init__` makes layers or Variables, and which is called like a layer,
was meant to be a module. Without the base class it is an ordinary object: transforms do
not take it, and `nnx.state`, gradients and checkpoints do not find what it holds.""",
    """\
class Block:
    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.linear(x))


nnx.jit(lambda block, x: block(x))(Block(nnx.Rngs(0)), x)""",
    """\
class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.linear(x))


nnx.jit(lambda block, x: block(x))(Block(nnx.Rngs(0)), x)""",
    find,
)
