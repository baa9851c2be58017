"""OAK002: a captured model is read in a function that `jax.jit` compiles."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

from .._rule import Fault, File, Rule
from .._scopes import Scope
from .._traces import Instance, Trace
from .._writes import Write, iter_writes, object_path, root_of
from ._leak import is_captured, is_outer_parameter
from ._unchanged import stays_unchanged

_COMPILERS = ("jax.jit", "jax.pmap")
# Reads of the structure alone, and those of it that ask for no value.
_STRUCTURAL = ("nnx.split", "nnx.graphdef", "nnx.state", "isinstance", "type", "len")
_MODEL_NAMES = {"model", "net", "network", "actor", "critic", "generator", "encoder"}


def find(file: File) -> Iterator[Fault]:
    """Find reads of captured models under `jax.jit`."""
    traces = file.traces
    seen: set[Scope] = set()
    for trace in traces.all:
        if trace.root in seen or not _is_kept(file, trace) or _leaks(file, trace):
            continue
        reads = (
            _fault(file, node, scope, trace)
            for scope in traces.region(trace.root)
            for node in _reads(file, scope)
            if _is_stale(file, node, scope, trace)
        )
        for fault in itertools.islice(reads, 1):
            seen.add(trace.root)
            yield fault
    for instance in traces.instances:
        if _is_kept(file, instance):
            yield _instance_fault(instance)


def _is_kept(file: File, trace: Trace | Instance) -> bool:
    """Whether a function is compiled outside of any trace, for more than one call."""
    return (
        trace.outermost in _COMPILERS
        and not file.traces.is_traced(trace.scope)
        and not _is_called_at_once(trace.node, trace.scope)
    )


def _reads(file: File, scope: Scope) -> Iterator[ast.expr]:
    """Expressions whose value the scope uses: called, passed on, `.value`."""
    for node in scope.reads:
        yield node.value  # type: ignore[attr-defined]
    for loads in scope.loads.values():  # a Variable is read by its name alone
        if file.source.kind(loads[0], scope) == "variable":
            yield loads[0]
    for call in scope.calls:
        if isinstance(call.func, (ast.Name, ast.Attribute)):
            if file.source.qualify(call.func, scope) in _STRUCTURAL:
                continue
            if not _is_linen(file, call.func, scope):
                yield call.func
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            if isinstance(argument, (ast.Name, ast.Attribute)):
                yield argument


def _is_linen(file: File, func: ast.expr, scope: Scope) -> bool:
    """Whether a call is `model.apply(variables, x)` of a class that is not known."""
    if not isinstance(func, ast.Attribute) or func.attr not in ("apply", "init"):
        return False
    return file.source.class_of(func.value, scope) is None


def _is_stale(file: File, node: ast.expr, scope: Scope, trace: Trace) -> bool:
    source = file.source
    root = root_of(node)
    if root is None:
        return False
    found = source.lookup(root.id, scope)
    if found is None:
        return False
    if not is_captured(file, Write(node, node, ""), scope, trace):
        return False
    if file.traces.is_traced(found[0]) and found[0] is not trace.root:
        return False
    if _runs_in_steps(file, found[0], root.id):
        return False
    if stays_unchanged(file, root.id, found[0], trace):
        return False
    if found[0] is trace.root:
        captured = trace.captured.get(root.id)
        if captured is not None and source.kind(captured, trace.scope) == "module":
            return True
        if not is_outer_parameter(file, root.id, trace, found[1][0].how):
            return False
    return _is_model(file, node, scope)


def _runs_in_steps(file: File, home: Scope, name: str) -> bool:
    """Whether a name is the `self` of a module's method, which steps elsewhere call."""
    owner = file.source.owner_of_self(name, home)
    if owner is None or home.name == "__init__":
        return False
    return file.source.family(owner) == "module"


def _is_model(file: File, node: ast.expr, scope: Scope) -> bool:
    """Whether a path reads a module: it, a method of it, or a Variable in it."""
    source = file.source
    kind = source.kind(node, scope)
    if kind is not None:
        return kind in ("module", "variable")
    if isinstance(node, ast.Attribute):
        if node.attr in ("shape", "dtype", "ndim", "config", "split"):
            return False
        part = node.value
        while isinstance(part, (ast.Attribute, ast.Subscript)):
            if source.kind(part, scope) == "module":
                return _is_used(node, scope)
            part = part.value
        return source.kind(part, scope) == "module" and _is_used(node, scope)
    if isinstance(node, ast.Name) and node.id in _MODEL_NAMES:
        return _is_untyped_parameter(file, node.id, scope)
    return False


def _is_used(node: ast.expr, scope: Scope) -> bool:
    """Whether a part of a module is called or its value read: a size is static."""
    return any(call.func is node for call in scope.calls) or any(
        read.value is node  # type: ignore[attr-defined]
        for read in scope.reads
    )


def _is_untyped_parameter(file: File, name: str, scope: Scope) -> bool:
    """Whether a name is the parameter `model` of a function that makes functions."""
    source = file.source
    if not source.uses_nnx or source.has_rivals:
        return False
    found = source.lookup(name, scope)
    if found is None or [binding.how for binding in found[1]] != ["parameter"]:
        return False
    return getattr(found[1][0].value, "annotation", None) is None


def _is_called_at_once(node: ast.AST, scope: Scope) -> bool:
    """Whether a transform is called where it stands, so that nothing is kept."""
    return any(
        call.func is node
        or (isinstance(call.func, ast.Attribute) and call.func.value is node)
        for call in scope.calls
    )


def _leaks(file: File, trace: Trace) -> bool:
    return any(
        is_captured(file, write, scope, trace)
        for scope in file.traces.region(trace.root)
        for write in iter_writes(file.source, scope)
    )


def _fault(file: File, node: ast.expr, scope: Scope, trace: Trace) -> Fault:
    path = ast.unparse(object_path(file.source, node, scope))
    own = trace.outermost.replace("jax.", "nnx.")
    return Fault(
        node,
        f"`{path}` is captured under `{trace.outermost}` in `{trace.root.name}`: its "
        f"values become constants, and later changes are not seen; use `{own}`, or "
        f"pass `{path}` as an argument",
        trace.root,
        trace.node,
    )


def _instance_fault(instance: Instance) -> Fault:
    path = ast.unparse(instance.value)
    own = instance.outermost.replace("jax.", "nnx.")
    return Fault(
        instance.node,
        f"`{instance.outermost}({path})` keeps the values of `{path}` as constants, "
        f"and later changes are not seen; use `{own}({path})`",
        None,
        instance.node,
    )


RULE = Rule(
    "OAK002",
    "a captured model is read under jax.jit",
    """\
`jax.jit` compiles what a function takes from outside as constants. When the model
learns on, the compiled function goes on with the old weights, and says nothing. nnx's
own `jit` in oakum makes captured state an input, so that each call reads it anew; an
argument is always fresh. A function that is called once and dropped is fine.""",
    """\
predict = jax.jit(lambda x: model(x))
predict(x)""",
    """\
predict = nnx.jit(lambda x: model(x))  # or jax.jit(lambda model, x: model(x))
predict(x)""",
    find,
)
