"""One pass over a syntax tree: scopes, what is bound in them, calls and writes.

A **scope** is a module, class, function or lambda. Comprehensions belong to the scope
around them: their names are taken for its own, which can hide an outer name and so
silence a rule, but never raise a false alarm. Rules look at the short lists gathered
here and never walk the tree again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NamedTuple

Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Binding(NamedTuple):
    """One way for a name to get its value.

    `how` is "assign", "unpack", "annotation", "parameter", "import", "function",
    "class" or "other"; `value` is the expression or definition, None where unknown.
    """

    how: str
    value: ast.AST | None
    loops: tuple[ast.AST, ...] = ()
    qualified: str = ""  # of an import
    position: int = 0  # of an unpacking
    statement: ast.AST | None = None


class Scope:
    """A module, class, function or lambda."""

    __slots__ = (
        "bindings",
        "calls",
        "is_callback",
        "kind",
        "loads",
        "name",
        "node",
        "outer",
        "parameters",
        "parent",
        "reads",
        "returns",
        "statements",
        "writes",
    )

    def __init__(self, node: ast.AST, kind: str, parent: Scope | None):
        self.node = node
        self.kind = kind
        self.parent = parent
        self.name: str = getattr(node, "name", "lambda" if parent else "")
        self.bindings: dict[str, list[Binding]] = {}
        self.calls: list[ast.Call] = []
        self.statements: set[ast.Call] = set()  # calls whose result is not used
        self.writes: list[tuple[ast.expr, ast.AST]] = []  # targets with a dot or [ ]
        self.reads: list[ast.expr] = []  # `x.value` and `x[...]`
        self.loads: dict[str, list[ast.Name]] = {}  # where each name is read
        self.returns: list[ast.expr] = []
        self.outer: set[str] = set()  # declared `global` or `nonlocal`
        self.parameters: list[str] = []
        self.is_callback = False  # runs outside of the trace that it is written in

    def is_inside(self, other: Scope) -> bool:
        """Whether this scope is the other one or stands in it."""
        scope: Scope | None = self
        while scope is not None and scope is not other:
            scope = scope.parent
        return scope is other


class Collector:
    """Walks the tree once and fills the scopes."""

    def __init__(self, tree: ast.Module):
        self.scope = Scope(tree, "module", None)
        self.scopes = [self.scope]
        self.of_node: dict[ast.AST, Scope] = {tree: self.scope}
        self.loops: tuple[ast.AST, ...] = ()
        for statement in tree.body:
            self.visit(statement)

    def visit(self, node: ast.AST) -> None:
        handler = _HANDLERS.get(type(node), Collector.visit_children)
        if handler is not None:
            handler(self, node)

    def visit_children(self, node: ast.AST) -> None:
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                for item in value:
                    if isinstance(item, ast.AST):
                        self.visit(item)
            elif isinstance(value, ast.AST):
                self.visit(value)

    def visit_all(self, nodes: list) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # -- scopes

    def enter(self, node: ast.AST, kind: str, body: list) -> None:
        scope = Scope(node, kind, self.scope)
        self.scopes.append(scope)
        self.of_node[node] = scope
        kept, self.scope, self.loops = (self.scope, self.loops), scope, ()
        if isinstance(node, Function):
            self.bind_parameters(node.args)
        self.visit_all(body)
        self.scope, self.loops = kept

    def bind_parameters(self, args: ast.arguments) -> None:
        scope = self.scope
        for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs]:
            scope.parameters.append(arg.arg)
            scope.bindings[arg.arg] = [Binding("parameter", arg)]
        for arg in (args.vararg, args.kwarg):
            if arg is not None:
                scope.bindings[arg.arg] = [Binding("other", None)]

    def function(self, node: ast.FunctionDef) -> None:
        self.bind_name(node.name, Binding("function", node, self.loops))
        self.visit_all(node.decorator_list)
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        self.enter(node, "function", node.body)

    def lambda_(self, node: ast.Lambda) -> None:
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        self.enter(node, "function", [node.body])
        self.of_node[node].returns.append(node.body)

    def class_(self, node: ast.ClassDef) -> None:
        self.bind_name(node.name, Binding("class", node, self.loops))
        self.visit_all(node.decorator_list)
        self.visit_all(node.bases)
        self.enter(node, "class", node.body)

    # -- names

    def bind_name(self, name: str, binding: Binding) -> None:
        self.scope.bindings.setdefault(name, []).append(binding)

    def bind(self, target: ast.AST, value: ast.AST | None, statement: ast.AST) -> None:
        if isinstance(target, ast.Name):
            binding = Binding("assign", value, self.loops, statement=statement)
            self.bind_name(target.id, binding)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.bind_each(target.elts, value, statement)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, None, statement)
        else:
            self.scope.writes.append((target, statement))  # type: ignore[arg-type]
            self.visit(target)

    def bind_each(self, targets: list, value: ast.AST | None, node: ast.AST) -> None:
        paired = isinstance(value, (ast.Tuple, ast.List))
        if paired and len(value.elts) == len(targets):
            for target, item in zip(targets, value.elts, strict=True):
                self.bind(target, item, node)
            return
        for index, target in enumerate(targets):
            if isinstance(target, ast.Name):
                unpacked = Binding("unpack", value, self.loops, "", index, node)
                self.bind_name(target.id, unpacked)
            else:
                self.bind(target, None, node)

    def import_(self, node: ast.Import) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            qualified = alias.name if alias.asname else name
            self.bind_name(name, Binding("import", node, (), qualified))

    def import_from(self, node: ast.ImportFrom) -> None:
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            qualified = f"{base}.{alias.name}"
            name = alias.asname or alias.name
            self.bind_name(name, Binding("import", node, (), qualified))

    # -- statements and expressions

    def assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.bind(target, node.value, node)

    def ann_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self.bind(node.target, node.value, node)
        elif isinstance(node.target, ast.Name):
            annotated = Binding("annotation", node.annotation, self.loops)
            self.bind_name(node.target.id, annotated)

    def aug_assign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self.bind(node.target, None, node)
        if isinstance(node.target, ast.Name):
            self.name(node.target)

    def named(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.bind(node.target, node.value, node)

    def for_(self, node: ast.For) -> None:
        self.visit(node.iter)
        kept, self.loops = self.loops, (*self.loops, node)
        self.bind(node.target, None, node)
        self.visit_all(node.body)
        self.loops = kept
        self.visit_all(node.orelse)

    def while_(self, node: ast.While) -> None:
        kept, self.loops = self.loops, (*self.loops, node)
        self.visit(node.test)
        self.visit_all(node.body)
        self.loops = kept
        self.visit_all(node.orelse)

    def comprehension(self, node: ast.ListComp) -> None:
        kept, self.loops = self.loops, (*self.loops, node)
        for generator in node.generators:
            self.visit(generator.iter)
            self.bind(generator.target, None, node)
            self.visit_all(generator.ifs)
        if isinstance(node, ast.DictComp):
            self.visit_all([node.key, node.value])
        else:
            self.visit(node.elt)
        self.loops = kept

    def with_(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, item.context_expr, node)
        self.visit_all(node.body)

    def handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind_name(node.name, Binding("other", None, self.loops))
        self.visit_children(node)

    def match_as(self, node: ast.MatchAs) -> None:
        if node.name:
            self.bind_name(node.name, Binding("other", None, self.loops))
        self.visit_children(node)

    def expression(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.scope.statements.add(node.value)
        self.visit(node.value)

    def call(self, node: ast.Call) -> None:
        self.scope.calls.append(node)
        self.visit(node.func)
        self.visit_all(node.args)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def attribute(self, node: ast.Attribute) -> None:
        if node.attr in ("value", "raw_value") and isinstance(node.ctx, ast.Load):
            self.scope.reads.append(node)
        self.visit(node.value)

    def subscript(self, node: ast.Subscript) -> None:
        whole = isinstance(node.slice, ast.Constant) and node.slice.value is ...
        if whole and isinstance(node.ctx, ast.Load):
            self.scope.reads.append(node)
        self.visit(node.value)
        self.visit(node.slice)

    def name(self, node: ast.Name) -> None:
        self.scope.loads.setdefault(node.id, []).append(node)

    def return_(self, node: ast.Return) -> None:
        if node.value is not None:
            self.scope.returns.append(node.value)
            self.visit(node.value)

    def outer_names(self, node: ast.Global) -> None:
        self.scope.outer.update(node.names)


_HANDLERS: dict[type, Callable | None] = {
    ast.FunctionDef: Collector.function,
    ast.AsyncFunctionDef: Collector.function,
    ast.Lambda: Collector.lambda_,
    ast.ClassDef: Collector.class_,
    ast.Import: Collector.import_,
    ast.ImportFrom: Collector.import_from,
    ast.Assign: Collector.assign,
    ast.AnnAssign: Collector.ann_assign,
    ast.AugAssign: Collector.aug_assign,
    ast.NamedExpr: Collector.named,
    ast.For: Collector.for_,
    ast.AsyncFor: Collector.for_,
    ast.While: Collector.while_,
    ast.ListComp: Collector.comprehension,
    ast.SetComp: Collector.comprehension,
    ast.GeneratorExp: Collector.comprehension,
    ast.DictComp: Collector.comprehension,
    ast.With: Collector.with_,
    ast.AsyncWith: Collector.with_,
    ast.ExceptHandler: Collector.handler,
    ast.MatchAs: Collector.match_as,
    ast.Expr: Collector.expression,
    ast.Call: Collector.call,
    ast.Attribute: Collector.attribute,
    ast.Subscript: Collector.subscript,
    ast.Name: Collector.name,
    ast.Return: Collector.return_,
    ast.Global: Collector.outer_names,
    ast.Nonlocal: Collector.outer_names,
    ast.Constant: None,
    ast.Pass: None,
    ast.Break: None,
    ast.Continue: None,
    ast.Load: None,
    ast.Store: None,
    ast.Del: None,
}
