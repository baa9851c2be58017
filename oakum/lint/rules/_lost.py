"""OAK003: a transform of JAX writes to its copy of an argument, and drops it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .._rule import RIGHT_STEP, Fault, File, Rule
from .._scopes import Scope
from .._traces import Trace
from .._writes import Write, iter_writes, object_path, root_of
from ._leak import is_outer_parameter

_COPYING = {
    f"jax.{name}"
    for name in (
        *("jit", "pmap", "vmap", "grad", "value_and_grad", "checkpoint", "remat"),
        *("shard_map", "experimental.shard_map.shard_map"),
    )
}
_MODES = {"train", "eval", "set_attributes"}
_MODEL_NAME = re.compile(r"(^|_)(model|net|network|module)$")


def find(file: File) -> Iterator[Fault]:
    """Find writes to parameters that a transform of JAX drops."""
    seen: set[ast.AST] = set()
    for trace in file.traces.all:
        raw = [name for name in trace.transforms if name in _COPYING]
        if not raw:
            continue
        for write, scope, name in _writes_to_parameters(file, trace):
            if write.node in seen or _is_returned(name, trace.root, file):
                continue
            seen.add(write.node)
            yield _fault(file, write, scope, name, trace, raw[0])


def _writes_to_parameters(
    file: File, trace: Trace
) -> Iterator[tuple[Write, Scope, str]]:
    root = trace.root
    for scope in file.traces.region(root):
        if not scope.is_inside(root):
            continue
        inner = _is_root_of_own(file, scope, root)
        writes = [*iter_writes(file.source, scope), *_by_name(file, scope, root)]
        for write in [] if inner else writes:
            name = root_of(write.target)
            if name is None:
                continue
            found = file.source.lookup(name.id, scope)
            if found is None or found[0] is not root:
                continue
            bindings = found[1]
            if len(bindings) != 1 or bindings[0].how != "parameter":
                continue
            if _is_of_the_copy(file, write, scope):
                continue
            if not is_outer_parameter(file, name.id, trace, "parameter"):
                yield write, scope, name.id


def _is_of_the_copy(file: File, write: Write, scope: Scope) -> bool:
    """Whether a write is meant for the copy: what was sown is popped, a mode is set."""
    if not isinstance(write.node, ast.Call):
        return False
    func = write.node.func
    mode = isinstance(func, ast.Attribute) and func.attr in _MODES
    return mode or file.source.qualify(func, scope) == "nnx.pop"


def _by_name(file: File, scope: Scope, root: Scope) -> Iterator[Write]:
    """Writes to `.value` of a parameter that is called a model and not typed."""
    source = file.source
    for target, statement in scope.writes:
        name = root_of(target)
        if name is None or not _MODEL_NAME.search(name.id) or not source.uses_nnx:
            continue
        if source.kind(name, scope) is not None or source.has_rivals:
            continue
        if getattr(target, "attr", "") == "value" and isinstance(target, ast.Attribute):
            yield Write(target.value, statement, "written")


def _is_root_of_own(file: File, scope: Scope, root: Scope) -> bool:
    """Whether a nested function has a trace of its own, where the write would leak."""
    return scope is not root and any(t.root is scope for t in file.traces.all)


def _is_returned(name: str, root: Scope, file: File) -> bool:
    """Whether a function returns a parameter, whole or as its state."""
    return any(_hands_back(value, name, root, file) for value in root.returns)


def _hands_back(node: ast.AST, name: str, root: Scope, file: File) -> bool:
    if isinstance(node, ast.Name) and node.id == name:
        return True
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == name
    handed = _handed_on(node, root, file)
    return any(_hands_back(each, name, root, file) for each in handed)


def _handed_on(node: ast.AST, root: Scope, file: File) -> list[ast.AST]:
    """The expressions of which one may be, or be in, what an expression gives."""
    if isinstance(node, ast.Name):
        return _bound_to(node.id, root, file)
    if isinstance(node, ast.Call):
        return _returned_arguments(node, root, file)
    parts = (ast.Tuple, ast.List, ast.Dict, ast.IfExp, ast.Starred, ast.NamedExpr)
    return list(ast.iter_child_nodes(node)) if isinstance(node, parts) else []


def _bound_to(name: str, root: Scope, file: File) -> list[ast.AST]:
    """`state = nnx.state(model)` … `return state`: what a name of a function is."""
    home, bindings = file.source.lookup(name, root) or (None, [])
    if home is not root:
        return []
    values = [b.value for b in bindings if b.how in ("assign", "unpack")]
    return [v for v in values if v is not None and not isinstance(v, ast.Name)]


def _returned_arguments(call: ast.Call, root: Scope, file: File) -> list[ast.AST]:
    """`model(x)` hands back what it computes, `f(model)` may hand back the model."""
    if isinstance(call.func, ast.Call):  # `nnx.grad(loss)(model)`
        return []
    constructor = ast.unparse(call.func).rpartition(".")[2][:1].isupper()
    if not constructor and not file.source.qualify(call.func, root).startswith("nnx."):
        return []
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _fault(
    file: File, write: Write, scope: Scope, name: str, trace: Trace, transform: str
) -> Fault:
    path = ast.unparse(object_path(file.source, write.target, scope))
    own = "nnx." + transform.rpartition(".")[2]
    return Fault(
        write.node,
        f"`{path}` is {write.verb} under `{transform}` in `{trace.root.name}`, which "
        f"works on a copy of `{name}` and does not return it: the update is lost; use "
        f"`{own}`",
        trace.root,
        trace.node,
    )


RULE = Rule(
    "OAK003",
    "the copy that JAX made of an argument is updated and dropped",
    """\
Modules and optimizers are pytrees, so that JAX's own transforms take them; but they
call the function on a copy. What the function writes to the copy is dropped with it,
unless the function returns it. nnx's own transforms write it to the object that was
passed.""",
    RIGHT_STEP.replace("@nnx.jit", "@jax.jit"),
    RIGHT_STEP,
    find,
)
