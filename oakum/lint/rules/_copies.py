"""OAK005: the state of a model is kept as if it were a copy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from .._rule import Fault, File, Rule
from .._scopes import Scope
from .._source import Source
from .._writes import root_of

_KEPT = re.compile(
    r"(^|_)(best|backup|snapshot|saved|before|old|prev|previous|original|orig|target)(_|$)"
)
_TRAINS = re.compile(r"train|step|fit|update|learn|optimi")
# `nnx.update(model, state)` puts back, which `_is_restored` looks at.
_NO_TRAINERS = ("jax.", "optax.", "nnx.update")
_READERS = ("print", "len", "isinstance", "type", "repr", "id")


class _Kept(NamedTuple):
    name: str  # as text: `best`, `self.best`
    of: ast.expr  # the model
    how: str  # `nnx.state(model)`
    statement: ast.AST
    scope: Scope
    loops: tuple[ast.AST, ...]
    others: int  # bindings to anything else but None


def find(file: File) -> Iterator[Fault]:
    """Find states that are kept while their model goes on."""
    source = file.source
    if not source.uses_nnx:
        return
    for scope in source.scopes:
        yield from _collected(source, scope)
        for kept in [*_names(source, scope), *_attributes(source, scope)]:
            if kept.others or not is_one_object(source, kept.of, kept.loops, scope):
                continue
            if _is_restored(source, kept) or _is_kept(source, kept):
                yield Fault(
                    kept.statement,
                    f"`{kept.name}` shares its Variables with `{ast.unparse(kept.of)}` "
                    f"and changes with it: `{kept.how}` is no copy; keep "
                    f"`nnx.clone({kept.how})`",
                    scope,
                )


def _collected(source: Source, scope: Scope) -> Iterator[Fault]:
    """`states.append(nnx.state(model))` and `states[i] = …`, in a loop."""
    kept: list[tuple[ast.AST, ast.AST, str]] = [
        (call, call.args[0], ast.unparse(call.func.value))
        for call in scope.calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "append"
        and len(call.args) == 1
    ]
    kept += [
        (statement, statement.value, ast.unparse(target.value))
        for target, statement in scope.writes
        if isinstance(target, ast.Subscript) and isinstance(statement, ast.Assign)
    ]
    for node, value, name in kept:
        found = _state_of(source, value, scope, "")
        if found is None:
            continue
        loops = tuple(
            loop
            for loop in ast.walk(scope.node)
            if isinstance(loop, (ast.For, ast.While))
            and any(child is node for child in ast.walk(loop))
        )
        if loops and is_one_object(source, found[0], loops, scope):
            yield Fault(
                node,
                f"all that `{name}` holds are the Variables of "
                f"`{ast.unparse(found[0])}` as they are now: `{found[1]}` is no copy; "
                f"keep `nnx.clone({found[1]})`",
                scope,
            )


def _names(source: Source, scope: Scope) -> Iterator[_Kept]:
    for name, bindings in scope.bindings.items():
        states = []
        for binding in bindings:
            found = _state_of(source, binding.value, scope, name)
            # The first that `split` gives is the structure.
            state = binding.how == "assign" or (
                binding.how == "unpack" and binding.position > 0
            )
            if found is not None and state:
                states.append((binding, *found))
        others = sum(not _is_none(b.value) for b in bindings) - len(states)
        for binding, of, how in states:
            if binding.statement is not None:
                statement = binding.statement
                yield _Kept(name, of, how, statement, scope, binding.loops, others)


def _attributes(source: Source, scope: Scope) -> Iterator[_Kept]:
    for target, statement in scope.writes:
        if not isinstance(target, ast.Attribute) or root_of(target) is None:
            continue
        value = getattr(statement, "value", None)
        found = _state_of(source, value, scope, target.attr)
        if found is None or not isinstance(statement, ast.Assign):
            continue
        if target not in statement.targets or found[1].startswith("nnx.split"):
            continue
        yield _Kept(ast.unparse(target), *found, statement, scope, (), 0)


def _state_of(
    source: Source, value: ast.AST | None, scope: Scope, name: str
) -> tuple[ast.expr, str] | None:
    """The model whose state, or alias, a value is, and how it is written."""
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        # `nnx.split(model)[1]`
        value = value.value if value.slice.value not in (0, ...) else None
    if isinstance(value, ast.Call) and value.args:
        called = source.qualify(value.func, scope)
        if called in ("nnx.state", "nnx.split") and root_of(value.args[0]) is not None:
            return value.args[0], ast.unparse(value)
    if not isinstance(value, (ast.Name, ast.Attribute)) or not _KEPT.search(name):
        return None
    known = source.kind(value, scope) == "module"
    return (value, ast.unparse(value)) if known else None


def is_one_object(
    source: Source, model: ast.expr, loops: tuple[ast.AST, ...], scope: Scope
) -> bool:
    """Whether a model is the same one in each round of the loops around a line."""
    root = root_of(model)
    found = source.lookup(root.id, scope) if root is not None else None
    if found is None:
        return False
    assigned = [b for b in found[1] if b.how not in ("import", "function", "class")]
    if len(assigned) != 1:
        return False
    return not set(assigned[0].loops) & set(loops)


def _is_restored(source: Source, kept: _Kept) -> bool:
    """Whether the state is put back into its own model, where it is already."""
    if kept.how == ast.unparse(kept.of):
        return False
    restored = False
    for scope in _places(source, kept):
        if _is_worked_with(kept, scope):
            return False
        for call in scope.calls:
            arguments = [ast.unparse(argument) for argument in call.args]
            if kept.name not in arguments:
                continue
            called = source.qualify(call.func, scope)
            if called == "nnx.update":
                own = arguments[0] == ast.unparse(kept.of)
                restored |= own and not _is_put_back_at_once(source, kept, call, scope)
            elif called not in _READERS and not _KEPT.search(kept.name):
                return False
    return restored


def _is_worked_with(kept: _Kept, scope: Scope) -> bool:
    """Whether what was kept is written to, or a method of it called."""
    written = [target for target, _ in scope.writes]
    called = [call.func for call in scope.calls]
    return any(_begins_with(each, kept.name) for each in [*written, *called])


def _is_put_back_at_once(
    source: Source, kept: _Kept, update: ast.Call, scope: Scope
) -> bool:
    """Whether nothing between keeping a state and putting it back can train.

    That holds for surgery: a state is taken, layers or values are swapped, and what
    was there goes back to where it was.
    """
    if scope is not kept.scope or kept.loops:
        return False
    first: int = kept.statement.lineno  # type: ignore[attr-defined]
    return not any(
        first < call.lineno < update.lineno
        and _TRAINS.search(ast.unparse(call.func))
        and not source.qualify(call.func, scope).startswith(("jax.", "nnx.update"))
        for call in scope.calls
    )


def _is_kept(source: Source, kept: _Kept) -> bool:
    """Whether a name such as `best` says that it is to outlive a step."""
    if not _KEPT.search(kept.name.rpartition(".")[2]):
        return False
    if "." in kept.name:
        return _in_loop_or_branch(kept)
    if not kept.scope.loads.get(kept.name):
        nested = [s for s in source.scopes if s.is_inside(kept.scope)]
        if not any(s.loads.get(kept.name) for s in nested):
            return False
    return bool(kept.loops) or _trains_between(source, kept)


def _in_loop_or_branch(kept: _Kept) -> bool:
    for node in ast.walk(kept.scope.node):
        block = isinstance(node, (ast.If, ast.For, ast.While))
        if block and any(child is kept.statement for child in ast.walk(node)):
            return True
    return False


def _trains_between(source: Source, kept: _Kept) -> bool:
    """Whether the model is trained after its state was kept, and that then read."""
    start = kept.statement.lineno  # type: ignore[attr-defined]
    text = ast.unparse(kept.of)
    trained = [
        call.lineno
        for call in kept.scope.calls
        if call.lineno > start
        and _TRAINS.search(ast.unparse(call.func))
        and not source.qualify(call.func, kept.scope).startswith(_NO_TRAINERS)
        and any(ast.unparse(argument) == text for argument in call.args)
    ]
    if not trained:
        return False
    reads = kept.scope.loads.get(kept.name, ())
    return any(read.lineno >= min(trained) for read in reads)


def _places(source: Source, kept: _Kept) -> list[Scope]:
    """Where the name can be used: its scope, or for `self.best` its class."""
    if "." not in kept.name:
        return [scope for scope in source.scopes if scope.is_inside(kept.scope)]
    owner = source.owner_of_self(kept.name.partition(".")[0], kept.scope)
    if owner is None:
        return [kept.scope]
    return [scope for scope in source.scopes if scope.is_inside(owner)]


def _begins_with(node: ast.AST, name: str) -> bool:
    text = ast.unparse(node)
    return text.startswith((f"{name}.", f"{name}["))


def _is_none(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


RULE = Rule(
    "OAK005",
    "the state of a model is kept as if it were a copy",
    """\
`nnx.state(model)` and `nnx.split(model)` give the Variables of the model, not copies
of them: after the next step, the state that was kept as the best one holds the newest
values. `nnx.clone` of the state, or of the model, is a copy.""",
    """\
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
best = None
for _ in range(3):
    loss, grads = nnx.value_and_grad(lambda model: model(x).mean())(model)
    if best is None:
        best = nnx.state(model)
    optimizer.update(model, grads)
nnx.update(model, best)""",
    """\
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
best = None
for _ in range(3):
    loss, grads = nnx.value_and_grad(lambda model: model(x).mean())(model)
    if best is None:
        best = nnx.clone(nnx.state(model))
    optimizer.update(model, grads)
nnx.update(model, best)""",
    find,
)
