"""Which functions of a file run under a trace, and with what around them.

A **trace** is one use of a transform on a function of the file, its **root**: by a
decorator or by a call, of JAX or of nnx. Its **region** is what runs while the root
is traced: the root, the functions that stand in it, and those of the file that these
call. A name that is bound outside of the root is **captured** there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from ._scopes import Function, Scope
from ._source import Source

# For each transform the positions of the functions among its arguments.
_ONE = (0,)
_SHARED: dict[str, tuple[int, ...]] = {
    "jit": _ONE,
    "pmap": _ONE,
    "vmap": _ONE,
    "grad": _ONE,
    "value_and_grad": _ONE,
    "checkpoint": _ONE,
    "remat": _ONE,
    "eval_shape": _ONE,
    "make_jaxpr": _ONE,
    "shard_map": _ONE,
    "vjp": _ONE,
    "jvp": _ONE,
}
_LOOPS: dict[str, tuple[int, ...]] = {
    "scan": _ONE,
    "while_loop": (0, 1),
    "fori_loop": (2,),
    "cond": (1, 2),
    "switch": (1,),
}
TRANSFORMS: dict[str, tuple[int, ...]] = {
    **{f"jax.{name}": at for name, at in _SHARED.items()},
    **{f"jax.lax.{name}": at for name, at in _LOOPS.items()},
    **{f"nnx.{name}": at for name, at in {**_SHARED, **_LOOPS}.items()},
    **dict.fromkeys(("jax.jacfwd", "jax.jacrev", "jax.hessian"), _ONE),
    **dict.fromkeys(("jax.linearize", "jax.lax.map"), _ONE),
    "jax.experimental.shard_map.shard_map": _ONE,
}
_CALLBACKS = {
    *("jax.pure_callback", "jax.debug.callback", "jax.experimental.io_callback"),
}
PARTIAL = ("functools.partial", "jax.tree_util.Partial")


class Trace(NamedTuple):
    """One use of transforms on a function of the file."""

    root: Scope
    transforms: tuple[str, ...]  # outermost first
    node: ast.AST  # the decorator or the call
    scope: Scope  # where that stands
    captured: dict[str, ast.AST]  # parameters that are bound outside of the trace
    is_decorator: bool

    @property
    def outermost(self) -> str:
        return self.transforms[0]


class Instance(NamedTuple):
    """A transform of a module itself: `jax.jit(model)`."""

    outermost: str
    value: ast.expr
    node: ast.Call
    scope: Scope


_Function: TypeAlias = tuple[Scope, tuple[str, ...], dict[str, ast.AST]]


class Traces:
    """All traces of a file."""

    def __init__(self, source: Source):
        self.source = source
        self.all: list[Trace] = []
        self.instances: list[Instance] = []
        for scope in source.scopes:
            for node in getattr(scope.node, "decorator_list", ()):
                if scope.kind == "function":
                    self._add_decorator(scope, node)
        for scope in source.scopes:
            for call in scope.calls:
                self._add_call(call, scope)
        self._regions: dict[Scope, tuple[Scope, ...]] = {}
        self._traced: set[Scope] | None = None
        self._nested: dict[Scope, list[Scope]] = {}
        for scope in source.scopes:
            if scope.kind == "function" and scope.parent is not None:
                self._nested.setdefault(scope.parent, []).append(scope)

    def region(self, root: Scope) -> tuple[Scope, ...]:
        """The scopes that run while a root is traced, the root first."""
        if root not in self._regions:
            found = {root: None}
            queue = [root]
            while queue:
                for scope in self._reached_from(queue.pop()):
                    if scope not in found and not scope.is_callback:
                        found[scope] = None
                        queue.append(scope)
            self._regions[root] = tuple(found)
        return self._regions[root]

    def is_traced(self, scope: Scope) -> bool:
        """Whether a scope runs under any trace of the file."""
        if self._traced is None:
            regions = (self.region(trace.root) for trace in self.all)
            self._traced = {scope for region in regions for scope in region}
        return scope in self._traced

    def _reached_from(self, scope: Scope) -> Iterator[Scope]:
        yield from self._nested.get(scope, ())
        for call in scope.calls:
            for target, _, _ in self._functions(call.func, scope):
                yield target

    # -- finding them

    def _add_decorator(self, scope: Scope, node: ast.expr) -> None:
        around = scope.parent
        assert around is not None
        name = self.source.qualify(_decorating(node, self.source, around), around)
        if name in TRANSFORMS:
            chain = []
            for each in scope.node.decorator_list:  # type: ignore[attr-defined]
                called = _decorating(each, self.source, around)
                chain.append(self.source.qualify(called, around))
            chain = [each for each in chain if each in TRANSFORMS]
            captured = _defaults(scope)
            trace = Trace(scope, tuple(chain), node, around, captured, True)
            if not any(each.root is scope for each in self.all):
                self.all.append(trace)

    def _add_call(self, call: ast.Call, scope: Scope) -> None:
        name = self.source.qualify(call.func, scope)
        if name in _CALLBACKS:
            for argument in call.args[:1]:
                for target, _, _ in self._functions(argument, scope):
                    target.is_callback = True
        for argument in _function_arguments(call, name):
            for target, chain, captured in self._functions(argument, scope):
                chain = (name, *chain)
                self.all.append(Trace(target, chain, call, scope, captured, False))
            self._add_instance(name, argument, call, scope)

    def _add_instance(
        self, name: str, argument: ast.expr, call: ast.Call, scope: Scope
    ) -> None:
        value = argument
        if isinstance(value, ast.Attribute) and value.attr == "__call__":
            value = value.value
        if self.source.kind(value, scope) == "module":
            self.instances.append(Instance(name, value, call, scope))

    def _functions(
        self, node: ast.AST, scope: Scope, depth: int = 0
    ) -> Iterator[_Function]:
        """The functions that an expression names: root, transforms, captured."""
        source = self.source
        if depth > 4:
            return
        if isinstance(node, Function):
            yield source.of_node[node], (), _defaults(source.of_node[node])
        elif isinstance(node, ast.Name):
            value = source.only_value(node.id, scope)
            if value is not None and not isinstance(value[0], ast.Name):
                yield from self._functions(*value, depth + 1)
        elif isinstance(node, ast.Attribute):
            yield from self._methods(node, scope, depth)
        elif isinstance(node, ast.Call):
            yield from self._wrapped(node, scope, depth)

    def _wrapped(self, call: ast.Call, scope: Scope, depth: int) -> Iterator[_Function]:
        """The functions in a `partial`, or in a transform."""
        name = self.source.qualify(call.func, scope)
        if not call.args or (name not in PARTIAL and name not in TRANSFORMS):
            return
        found = self._functions(call.args[0], scope, depth + 1)
        for target, chain, captured in found:
            if name in PARTIAL:
                yield target, chain, {**captured, **_bound_by(call, target)}
            else:
                yield target, (name, *chain), captured

    def _methods(
        self, node: ast.Attribute, scope: Scope, depth: int
    ) -> Iterator[_Function]:
        source = self.source
        owner = source.class_of(node.value, scope)
        if owner is None:
            return
        for binding in owner.bindings.get(node.attr, ()):
            if binding.how == "function" and binding.value is not None:
                target = source.of_node[binding.value]
                bound = dict(_defaults(target))
                # Transforms of nnx take the module of a bound method as an argument.
                if target.parameters and source.family(owner) == "plain":
                    bound[target.parameters[0]] = node.value
                yield target, (), bound
        for value, place in source.attributes_of(owner).get(node.attr, ()):
            yield from self._functions(value, place, depth + 1)


def static_parameters(trace: Trace) -> set[str]:
    """The parameters that the options of a transform make static."""
    node = trace.node
    keywords = node.keywords if isinstance(node, ast.Call) else []
    names: set[str] = set()
    for keyword in keywords:
        for value in ast.walk(keyword.value):
            if not isinstance(value, ast.Constant):
                continue
            if keyword.arg == "static_argnames":
                names.add(str(value.value))
            elif keyword.arg == "static_argnums" and isinstance(value.value, int):
                names.update(trace.root.parameters[value.value : value.value + 1])
    return names


def _decorating(node: ast.expr, source: Source, scope: Scope) -> ast.expr:
    """The function behind a decorator: `jax.jit` of `@partial(jax.jit, …)`."""
    if isinstance(node, ast.Call):
        if source.qualify(node.func, scope) in PARTIAL and node.args:
            return node.args[0]
        return node.func
    return node


def _function_arguments(call: ast.Call, name: str) -> Iterator[ast.expr]:
    positions = TRANSFORMS.get(name, ())
    for position in positions:
        if position < len(call.args):
            argument = call.args[position]
            if isinstance(argument, (ast.List, ast.Tuple)):
                yield from argument.elts
            else:
                yield argument
    for keyword in call.keywords if positions else ():
        if keyword.arg in ("f", "fun", "body_fun", "cond_fun", "true_fun", "false_fun"):
            yield keyword.value


def _defaults(scope: Scope) -> dict[str, ast.AST]:
    """The parameters whose default is an object from outside."""
    args = scope.node.args  # type: ignore[attr-defined]
    positional = [*args.posonlyargs, *args.args]
    pairs = list(zip(reversed(positional), reversed(args.defaults), strict=False))
    pairs += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return {a.arg: d for a, d in pairs if isinstance(d, (ast.Name, ast.Attribute))}


def _bound_by(partial: ast.Call, root: Scope) -> dict[str, ast.AST]:
    """The parameters that a partial application fills."""
    bound: dict[str, ast.AST] = dict(
        zip(root.parameters, partial.args[1:], strict=False)
    )
    for keyword in partial.keywords:
        if keyword.arg in root.parameters:
            bound[keyword.arg] = keyword.value
    return bound
