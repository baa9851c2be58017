"""A jitted function that updates what it captures takes it as arguments.

Where every use of the function is a call in the file, and what it captured can be named
there, the calls pass it. Otherwise, and for a method, the jitted function goes by
another name, and one of the old name and signature passes it.
"""

from __future__ import annotations

import ast
import textwrap
from typing import NamedTuple

from ..lint._rule import Fault
from ..lint._scopes import Scope
from ..lint._source import Source
from ..lint._traces import PARTIAL
from ..lint._writes import Write, iter_writes, object_path, root_of
from ._edits import Edits
from ._paths import iter_paths

_NNX = ("module", "optimizer", "metric", "variable", "rngs")


class _Plan(NamedTuple):
    """A function, the objects that it captures, and what they are called in it."""

    root: Scope
    node: ast.FunctionDef
    names: dict[str, str]  # by the text outside, such as `self.optimizer`
    places: list[tuple[ast.expr, str]]  # expressions inside to be renamed


def take_as_arguments(text: str, source: Source, fault: Fault, jit: str) -> str | None:
    """Give a function what it captures and updates as arguments, where that is sure."""
    root = _same_scope(source, fault.scope)
    if root is None or not isinstance(root.node, ast.FunctionDef):
        return None
    decorator = _jit_decorator(source, root.node, root)
    is_method = root.parent is not None and root.parent.kind == "class"
    plan = _plan(source, root)
    if plan is None:
        return None
    edits = Edits(text)
    for node, name in plan.places:
        edits.replace(*edits.span(node), name)
    if is_method:
        call = _jitted_once(source, plan) if decorator is None else None
        return _mend_method(edits, source, plan, decorator or call, jit)
    if decorator is None:
        return None
    if not _options(decorator) <= {"static_argnames", "donate_argnames"}:
        return None
    _rename_jit(edits, source, decorator, jit)
    calls = _calls(source, plan)
    return _pass_by_calls(edits, plan, calls) if calls else _wrap(edits, source, plan)


# -- what is captured


def _plan(source: Source, root: Scope) -> _Plan | None:
    assert isinstance(root.node, ast.FunctionDef)
    wanted: dict[str, tuple[str | None, list[ast.expr]]] = {}
    inside = [scope for scope in source.scopes if scope.is_inside(root)]
    for scope in inside:
        for node, kind in _captured(source, scope, root):
            wanted.setdefault(ast.unparse(node), (kind, []))[1].append(node)
    order = sorted(wanted, key=lambda text: _NNX.index(wanted[text][0] or "module"))
    names = {text: text.rpartition(".")[2] for text in order}
    bound = {name for scope in inside for name in scope.bindings}
    if not names or len(set(names.values())) < len(names):
        return None
    if bound & set(names.values()):
        return None
    places = [
        (node, names[text])
        for text, (_, nodes) in wanted.items()
        for node in nodes
        if names[text] != text
    ]
    return _Plan(root, root.node, names, places)


def _captured(
    source: Source, scope: Scope, root: Scope
) -> list[tuple[ast.expr, str | None]]:
    """The captured nnx objects that a scope names."""
    found: dict[ast.AST, str | None] = {}
    for path in iter_paths(scope):
        node = object_path(source, path, scope)
        kind = source.kind(node, scope)
        if kind in _NNX and _is_outer(source, node, scope, root):
            found[node] = kind
    for write in iter_writes(source, scope):
        for node in _updated(write):
            known = any(each in ast.walk(node) for each in found)
            path = isinstance(node, (ast.Name, ast.Attribute))
            if path and not known and _is_outer(source, node, scope, root):
                found[node] = "optimizer" if node is write.target else None
    extra = _uses_of(scope, found)
    return [*found.items(), *extra]  # type: ignore[list-item]


def _updated(write: Write) -> list[ast.expr]:
    """An optimizer that is known by its name only, and the model that it updates."""
    call = write.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return []
    two = call.func.attr == "update" and len(call.args) == 2
    return [write.target, call.args[0]] if two else [write.target]


def _uses_of(scope: Scope, found: dict) -> list[tuple[ast.expr, str | None]]:
    """Further uses of what has no known kind, so that all are renamed."""
    unknown = {ast.unparse(node) for node, kind in found.items() if kind is None}
    uses: list[tuple[ast.expr, str | None]] = []
    for path in iter_paths(scope):
        node: ast.expr = path
        while isinstance(node, ast.Attribute) and ast.unparse(node) not in unknown:
            node = node.value
        if ast.unparse(node) in unknown and node not in found:
            uses.append((node, None))
    return uses


def _is_outer(source: Source, node: ast.AST, scope: Scope, root: Scope) -> bool:
    name = root_of(node)
    found = source.lookup(name.id, scope) if name is not None else None
    if name is None or found is None:
        return False
    if found[0] is root:  # `self` of a method that is jitted as it is
        owner = source.owner_of_self(name.id, root)
        plain = owner is not None and source.family(owner) == "plain"
        return plain and not isinstance(node, ast.Name)
    return not found[0].is_inside(root)


# -- functions


def _calls(source: Source, plan: _Plan) -> list[ast.Call]:
    """All uses of a function, if each is a call that can name what it captured."""
    home, name = plan.root.parent, plan.node.name
    assert home is not None
    if len(home.bindings.get(name, ())) != 1:
        return []
    calls: list[ast.Call] = []
    for scope in source.scopes:
        found = source.lookup(name, scope)
        if found is None or found[0] is not home or name not in scope.loads:
            continue
        here = [call for call in scope.calls if _is_name(call.func, name)]
        if len(here) != len(scope.loads[name]) or scope.is_inside(plan.root):
            return []
        if not all(_is_same(source, text, scope, plan) for text in plan.names):
            return []
        calls += here
    return calls


def _is_same(source: Source, text: str, scope: Scope, plan: _Plan) -> bool:
    """Whether a path means the same where a function is called and where it is made."""
    root = text.partition(".")[0]
    here, there = source.lookup(root, scope), source.lookup(root, plan.root)
    return here is not None and there is not None and here[0] is there[0]


def _pass_by_calls(edits: Edits, plan: _Plan, calls: list[ast.Call]) -> str | None:
    opened, _, _ = edits.signature(plan.node)
    _insert(edits, opened + 1, list(plan.names.values()), bool(_parameters(plan.node)))
    for call in calls:
        _, end = edits.span(call.func)
        if edits.data[end : end + 1] != b"(":
            return None
        given = bool(call.args or call.keywords)
        _insert(edits, end + 1, list(plan.names), given)
    return edits.result()


def _wrap(edits: Edits, source: Source, plan: _Plan) -> str | None:
    home = plan.root.parent
    assert home is not None
    node = plan.node
    inner = f"_{node.name}"
    if inner in home.bindings or node.name in plan.root.loads:
        return None
    if _has_attributes_read(source, node.name, home):
        return None  # `step.lower(…)`: what calls the jitted function has none
    blank = "\n" if home.kind == "function" else "\n\n"
    return _add_caller(edits, plan, inner, f"{inner}({{}})", blank, skip=0)


def _has_attributes_read(source: Source, name: str, home: Scope) -> bool:
    return any(
        isinstance(path, ast.Attribute) and path_root.id == name
        for scope in source.scopes
        if scope.is_inside(home)
        for path in iter_paths(scope)
        if (path_root := root_of(path)) is not None
    )


def _add_caller(
    edits: Edits, plan: _Plan, inner: str, call: str, blank: str, skip: int
) -> str | None:
    """Rename the jitted function, and put one of the old name below it."""
    node = plan.node
    opened, closed, colon = edits.signature(node)
    named = edits.data.index(node.name.encode(), edits.place(node.lineno, 0))
    old = edits.text_of(opened + 1, closed)
    returns = edits.text_of(closed + 1, colon)
    arguments = [*plan.names, *_passed_on(node)[skip:]]
    edits.replace(named, named + len(node.name.encode()), inner)
    indent = " " * node.col_offset
    is_async = isinstance(node, ast.AsyncFunctionDef)
    if is_async or node.body[0].lineno == node.lineno:  # all in one line
        return None
    caller = f"def {node.name}({old}){returns}:\n"
    caller += f"    return {call.format(', '.join(arguments))}\n"
    if "\n" in old:  # a signature of several lines keeps its own indentation
        first, rest = caller.split("\n", 1)[0], caller.split("\n", 1)[1]
        head, _, _ = rest.rpartition("    return")
        body = rest[len(head) :]
        caller = f"{indent}{first}\n{head}{textwrap.indent(body, indent)}"
    else:
        caller = textwrap.indent(caller, indent)
    _, end = edits.span(node)
    newline = edits.data.find(b"\n", end)
    tail = edits.data[end : len(edits.data) if newline < 0 else newline]
    if newline < 0:
        edits.replace(len(edits.data), len(edits.data), f"\n{blank}{caller}")
    elif tail.strip() and not tail.strip().startswith(b"#"):
        return None  # another statement on the same line
    else:
        edits.replace(newline + 1, newline + 1, f"{blank}{caller}")
    new = list(plan.names.values())
    if skip:
        return None if _keeps_self(edits, plan, new, opened) is None else edits.result()
    _insert(edits, opened + 1, new, bool(_parameters(node)))
    return edits.result()


def _keeps_self(edits: Edits, plan: _Plan, new: list[str], opened: int) -> bool | None:
    """Put new parameters in the place of `self`, or after it where it is used."""
    first = plan.node.args.args[0]
    start = edits.place(first.lineno, first.col_offset)
    end = edits.place(first.end_lineno or 0, first.end_col_offset or 0)
    if first.annotation is not None or start < opened:
        return None
    keeps = f"{first.arg}, " if _uses_self(plan) else ""
    edits.replace(start, end, keeps + ", ".join(new))
    return True


def _uses_self(plan: _Plan) -> bool:
    """Whether a method uses `self` for more than the objects that it captures."""
    name = plan.node.args.args[0].arg
    renamed = {root_of(node) for node, _ in plan.places}
    return any(
        isinstance(each, ast.Name) and each.id == name and each not in renamed
        for statement in plan.node.body
        for each in ast.walk(statement)
    )


# -- methods


def _jitted_once(source: Source, plan: _Plan) -> ast.Call | None:
    """`jax.jit(self._update)`, where that is the only use of the method."""
    owner, name = plan.root.parent, plan.node.name
    assert owner is not None
    if plan.node.decorator_list or not plan.node.args.args:
        return None
    uses = [
        node
        for node in ast.walk(source.module.node)
        if isinstance(node, ast.Attribute) and node.attr == name
    ]
    for scope in source.scopes:
        for call in scope.calls:
            jits = source.qualify(call.func, scope) in ("jax.jit", "nnx.jit")
            if jits and not call.keywords and call.args == uses:
                return call
    return None


def _mend_method(
    edits: Edits, source: Source, plan: _Plan, decorator: ast.expr | None, jit: str
) -> str | None:
    owner, node = plan.root.parent, plan.node
    assert owner is not None
    if decorator is None or source.family(owner) != "plain" or not node.args.args:
        return None
    name, inner = node.args.args[0].arg, f"_{node.name}"
    if node.name.startswith("_"):  # two underscores would be a private name
        inner = f"{node.name}_jitted"
    if inner in owner.bindings or inner in source.attributes_of(owner):
        return None
    if any(not text.startswith(f"{name}.") for text in plan.names):
        return None
    if any(_is_name(target.value, name) for target, _ in _writes(source, plan.root)):
        return None  # `self.loss = …`: the object itself changes
    if not _compile_method(edits, source, plan, decorator, jit):
        return None
    return _add_caller(edits, plan, inner, f"{name}.{inner}({{}})", "\n", skip=1)


def _compile_method(
    edits: Edits, source: Source, plan: _Plan, decorator: ast.expr, jit: str
) -> bool:
    """Put jit of nnx over a method, static unless `self` is used; whether it can be."""
    node = plan.node
    indent = " " * node.col_offset
    if not node.decorator_list:  # the call of jit
        if _uses_self(plan):
            return False
        assert isinstance(decorator, ast.Call)
        edits.replace(*edits.span(decorator), ast.unparse(decorator.args[0]))
        start = edits.place(node.lineno, 0)
        edits.replace(start, start, f"{indent}@staticmethod\n{indent}@{jit}\n")
        return True
    options = _options(decorator)
    if "static_argnums" in options and not _is_zero(decorator):
        return False
    if not _uses_self(plan):
        if options <= {"static_argnums"}:
            edits.replace(*edits.span(decorator), f"staticmethod\n{indent}@{jit}")
            return True
        return False
    # What else `self` has stays constant, as before.
    if {"static_argnums"} <= options <= {"static_argnums", "static_argnames"}:
        _rename_jit(edits, source, decorator, jit)
        return True
    return False


def _writes(source: Source, root: Scope) -> list[tuple[ast.Attribute, ast.AST]]:
    return [
        (target, statement)
        for scope in source.scopes
        if scope.is_inside(root)
        for target, statement in scope.writes
        if isinstance(target, ast.Attribute)
    ]


def _is_zero(decorator: ast.expr) -> bool:
    assert isinstance(decorator, ast.Call)
    values = {k.arg: ast.unparse(k.value) for k in decorator.keywords}
    return values["static_argnums"] in ("0", "(0,)", "[0]")


# -- decorators and signatures


def _jit_decorator(source: Source, node: ast.FunctionDef, root: Scope):
    """The only decorator of a function, if it is jit."""
    if len(node.decorator_list) != 1 or root.parent is None:
        return None
    (decorator,) = node.decorator_list
    named = _named(source, decorator, root)
    qualified = source.qualify(named, root.parent)
    return decorator if qualified in ("jax.jit", "nnx.jit") else None


def _named(source: Source, decorator: ast.expr, root: Scope) -> ast.expr:
    if not isinstance(decorator, ast.Call):
        return decorator
    assert root.parent is not None
    if source.qualify(decorator.func, root.parent) in PARTIAL and decorator.args:
        return decorator.args[0]
    return decorator.func


def _rename_jit(edits: Edits, source: Source, decorator: ast.expr, jit: str) -> None:
    named = decorator
    if isinstance(decorator, ast.Call):
        partial = source.qualify(decorator.func, source.module) in PARTIAL
        named = decorator.args[0] if partial else decorator.func
    if ast.unparse(named) != jit:
        edits.replace(*edits.span(named), jit)


def _options(decorator: ast.expr) -> set[str]:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    return {keyword.arg or "**" for keyword in keywords}


def _parameters(node: ast.FunctionDef) -> list[str]:
    args = node.args
    named = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return [arg.arg for arg in [*named, args.vararg, args.kwarg] if arg is not None]


def _passed_on(node: ast.FunctionDef) -> list[str]:
    """The arguments by which one function passes on all that it was given."""
    args = node.args
    passed = [arg.arg for arg in [*args.posonlyargs, *args.args]]
    passed += [f"*{args.vararg.arg}"] if args.vararg is not None else []
    passed += [f"{arg.arg}={arg.arg}" for arg in args.kwonlyargs]
    return passed + ([f"**{args.kwarg.arg}"] if args.kwarg is not None else [])


def _insert(edits: Edits, place: int, names: list[str], more: bool) -> None:
    """Put names after an opening bracket, on the line of what follows it."""
    rest = edits.data[place:]
    space = len(rest) - len(rest.lstrip()) if more else 0
    edits.replace(
        place + space, place + space, ", ".join(names) + (", " if more else "")
    )


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _same_scope(source: Source, scope: Scope | None) -> Scope | None:
    """The scope of this tree that stands where one of another tree does."""
    if scope is None:
        return None
    line = getattr(scope.node, "lineno", 0)
    for each in source.scopes:
        if each.name == scope.name and getattr(each.node, "lineno", 0) == line:
            return each
    return None
