"""OAK004: one random key is used for two draws.

The statements of each function are followed in order: both branches of an `if` apart,
the body of a loop twice, so that a key that is not renewed in it shows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .._rule import Fault, File, Rule
from .._scopes import Function, Scope
from .._source import Source

_HARMLESS = {
    *("PRNGKey", "key", "fold_in", "key_data", "wrap_key_data", "key_impl", "clone"),
    *("default_prng_impl", "PRNGKeyArray", "KeyArray"),
}
_INITIALIZERS = ("nnx.initializers", "jax.nn.initializers")
_CONSTANT = ("constant", "ones_init", "zeros_init")
_LOOP = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")

Used = dict[str, ast.Call]  # by the text of the key


def find(file: File) -> Iterator[Fault]:
    """Find keys that are used twice."""
    source = file.source
    if not any(name.split(".")[0] == "jax" for name in source.imported):
        return
    for scope in source.scopes:
        draws = {
            call: key
            for call in scope.calls
            if (key := _key_of(call, scope, source)) is not None
        }
        if draws:
            yield from _Walker(scope, draws).run()


def _key_of(call: ast.Call, scope: Scope, source: Source) -> str | None:
    """The key that a call of jax.random, or of an initializer, uses up, as text."""
    name = source.qualify(call.func, scope)
    draws = name.startswith("jax.random.") and name.rpartition(".")[2] not in _HARMLESS
    if not (draws or _is_initializer(call.func, scope, source)):
        return None
    key = call.args[0] if call.args else None
    for keyword in call.keywords:
        if keyword.arg == "key":
            key = keyword.value
    part = key
    while isinstance(part, (ast.Attribute, ast.Subscript)):
        index = part.slice if isinstance(part, ast.Subscript) else None
        if not isinstance(index, (ast.Constant, ast.Name, type(None))):
            return None
        part = part.value
    return ast.unparse(key) if key is not None and isinstance(part, ast.Name) else None


def _is_initializer(func: ast.expr, scope: Scope, source: Source) -> bool:
    """Whether an expression makes one that draws: `nnx.initializers.normal()`."""
    if isinstance(func, ast.Name):
        bound = source.only_value(func.id, scope)
        if bound is None:
            return False
        func, scope = bound  # type: ignore[assignment]
    if not isinstance(func, ast.Call):
        return False
    home, _, name = source.qualify(func.func, scope).rpartition(".")
    return home in _INITIALIZERS and name not in _CONSTANT


class _Walker:
    """Follows the statements of one scope."""

    def __init__(self, scope: Scope, draws: dict[ast.Call, str]):
        self.scope = scope
        self.draws = draws
        self.faults: dict[ast.Call, Fault] = {}

    def run(self) -> Iterator[Fault]:
        node = self.scope.node
        if isinstance(node, ast.Lambda):
            self.expression(node.body, {})
        else:
            self.block(node.body, {})  # type: ignore[attr-defined]
        yield from self.faults.values()

    def block(self, statements: list[ast.stmt], used: Used) -> Used | None:
        """Follow statements; None where they leave the block for good."""
        for statement in statements:
            after = self.statement(statement, used)
            if after is None:
                return None
            used = after
        return used

    def statement(self, node: ast.AST, used: Used) -> Used | None:
        if isinstance(node, (*Function, ast.ClassDef)):
            return used
        if isinstance(node, ast.If):
            self.expression(node.test, used)
            branches = [self.block(b, dict(used)) for b in (node.body, node.orelse)]
            return _joined(branches)
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            return self.loop(node, used)
        if isinstance(node, ast.Try):
            return self.attempt(node, used)
        if isinstance(node, ast.Match):
            self.expression(node.subject, used)
            branches = [self.block(case.body, dict(used)) for case in node.cases]
            return _joined([*branches, used])
        if isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                self.expression(item.context_expr, used)
            return self.block(node.body, used)
        self.expression(node, used)
        for target in _targets(node):
            _renew(target, used)
        return None if isinstance(node, _ENDS) else used

    def loop(self, node: ast.For | ast.AsyncFor | ast.While, used: Used) -> Used:
        isfor = isinstance(node, (ast.For, ast.AsyncFor))
        self.expression(node.iter if isfor else node.test, used)
        for _ in range(2):
            if isfor:
                _renew(node.target, used)
            after = self.block(node.body, dict(used))
            if after is None:  # it leaves in each round, or goes on to the next
                break
            used = after
        return self.block(node.orelse, used) or used

    def attempt(self, node: ast.Try, used: Used) -> Used | None:
        ends = [self.block([*node.body, *node.orelse], dict(used))]
        ends += [self.block(handler.body, dict(used)) for handler in node.handlers]
        joined = _joined(ends)
        after = self.block(node.finalbody, joined if joined is not None else used)
        return None if joined is None else after

    def expression(self, node: ast.AST, used: Used) -> None:
        if isinstance(node, (*Function, ast.ClassDef)):
            return
        if isinstance(node, _COMPREHENSIONS):
            self.comprehension(node, used)
            return
        if isinstance(node, ast.IfExp):
            self.expression(node.test, used)
            branches: list[Used | None] = [dict(used), dict(used)]
            self.expression(node.body, branches[0])  # type: ignore[arg-type]
            self.expression(node.orelse, branches[1])  # type: ignore[arg-type]
            used.update(_joined(branches) or {})
            return
        for child in ast.iter_child_nodes(node):
            self.expression(child, used)
        if isinstance(node, ast.NamedExpr):
            _renew(node.target, used)
        elif isinstance(node, ast.Call):
            self.call(node, used)

    def comprehension(self, node: ast.AST, used: Used) -> None:
        generators = node.generators  # type: ignore[attr-defined]
        values = [getattr(node, name, None) for name in ("key", "value", "elt")]
        self.expression(generators[0].iter, used)
        for _ in range(2):
            for generator in generators:
                _renew(generator.target, used)
            for part in [*(g.iter for g in generators[1:]), *values]:
                if part is not None:
                    self.expression(part, used)

    def call(self, node: ast.Call, used: Used) -> None:
        key = self.draws.get(node)
        if key is None:
            if isinstance(node.func, ast.Attribute):  # a method may renew `self.key`
                root = ast.unparse(node.func.value).partition(".")[0]
                for each in [each for each in used if each.startswith(f"{root}.")]:
                    del used[each]
            return
        first = used.get(key)
        if first is not None and node not in self.faults and not _paired(first, node):
            where = (
                "in each round of the loop"
                if first is node
                else f"first in line {first.lineno}"
            )
            self.faults[node] = Fault(
                node,
                f"the key `{key}` is used again ({where}), so that the draws depend on "
                f"each other; take a new one for each draw by "
                f"`jax.random.split`",
                self.scope,
            )
        used.setdefault(key, node)


def _paired(first: ast.Call, second: ast.Call) -> bool:
    """Whether two arrays are put into one order on purpose, as inputs and labels."""
    name = ast.unparse(second.func)
    paired = name.endswith(("permutation", "shuffle", "choice"))
    return first is not second and paired and ast.unparse(first.func) == name


def _joined(branches: list[Used | None]) -> Used | None:
    going = [branch for branch in branches if branch is not None]
    if not going:
        return None
    joined: Used = {}
    for branch in going:
        joined.update(branch)
    return joined


def _targets(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, (ast.Assign, ast.Delete)):
        return list(node.targets)
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        return [node.target]
    return []


def _renew(target: ast.AST, used: Used) -> None:
    """Forget the keys that an assignment replaces, or whose index it moves."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            _renew(each, used)
        return
    if isinstance(target, ast.Starred):
        target = target.value
    text = ast.unparse(target)
    for key in list(used):
        base = key.partition("[")[0]
        if (
            key == text
            or base == text
            or key.startswith((f"{text}.", f"{text}["))
            or key.endswith(f"[{text}]")
        ):
            del used[key]


RULE = Rule(
    "OAK004",
    "a random key is used twice",
    """\
A key of `jax.random` gives the same numbers each time: two draws from one key are
copies of each other, or depend on each other in ways that no test shows. A key is used
up by a draw and by `split`; take a new one for each draw, also in each round of a loop.
A stream of `nnx.Rngs` hands out a new key at each call.""",
    """\
key = jax.random.key(0)
noise = jax.random.normal(key, (3,))
mask = jax.random.bernoulli(key, 0.5, (3,))""",
    """\
key = jax.random.key(0)
key, subkey = jax.random.split(key)
noise = jax.random.normal(subkey, (3,))
mask = jax.random.bernoulli(key, 0.5, (3,))""",
    find,
)
