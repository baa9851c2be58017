"""Hazards that `oakum.lint` finds, rewritten where that is sure.

A function under `jax.jit` that loses updates or keeps old values goes under `nnx.jit`;
one that updates what it captures takes it as arguments (`_arguments`). Each rewriting
is kept only if the hazard is gone and no other has come.
"""

from __future__ import annotations

import ast

from ..lint import UnreadableError, find_faults
from ..lint._rule import Fault
from ..lint._source import Source
from ..lint._traces import PARTIAL
from ._arguments import take_as_arguments
from ._edits import Edits

# The options that jit of oakum has by the names of jax.
OPTIONS = {
    *("static_argnums", "static_argnames", "donate_argnums", "donate_argnames"),
    *("in_shardings", "out_shardings"),
}
_MOST = 200


def mend_traps(text: str) -> str:
    """Rewrite the hazards of a program where that is sure."""
    refused: set[str] = set()
    for _ in range(_MOST):
        faults = find_faults(text)
        for finding, fault in faults:
            if finding.text in refused:
                continue
            new = _mend(text, finding.code, fault)
            if new is not None and _count(new) < len(faults):
                text = new
                break
            refused.add(finding.text)
        else:
            break
    return text


def _count(text: str) -> float:
    try:
        return len(find_faults(text))
    except UnreadableError:
        return float("inf")


def _mend(text: str, code: str, fault: Fault) -> str | None:
    source = Source(ast.parse(text))
    jit = jit_name(source)
    if jit is None or fault.transform is None:
        return None
    if code in ("OAK002", "OAK003"):
        return _under_own_jit(text, source, fault.transform, jit)
    if code == "OAK001" and fault.scope is not None:
        return take_as_arguments(text, source, fault, jit)
    return None


def jit_name(source: Source) -> str | None:
    """How the program can call oakum's own jit."""
    for name, bindings in source.module.bindings.items():
        if any(binding.qualified == "oakum" for binding in bindings):
            return f"{name}.jit"
    return None


def _under_own_jit(
    text: str, source: Source, transform: ast.AST, jit: str
) -> str | None:
    """`jax.jit` of a decorator or a call, replaced by `nnx.jit`."""
    node = ast_twin(source, transform)
    if node is None:
        return None
    named, options = transform_name(source, node)
    if source.qualify(named, source.module) != "jax.jit" or options - OPTIONS:
        return None
    edits = Edits(text)
    edits.replace(*edits.span(named), jit)
    return edits.result()


def ast_twin(source: Source, node: ast.AST) -> ast.expr | None:
    """The expression of this tree at the place that one of another tree has."""
    place = (type(node), node.lineno, node.col_offset)  # type: ignore[attr-defined]
    for each in ast.walk(source.module.node):
        if isinstance(each, ast.expr):
            if (type(each), each.lineno, each.col_offset) != place:
                continue
            if each.end_col_offset == getattr(node, "end_col_offset", None):
                return each
    return None


def transform_name(source: Source, node: ast.expr) -> tuple[ast.expr, set[str]]:
    """The expression that names a transform, and the options that it is given."""
    if not isinstance(node, ast.Call):
        return node, set()
    options = {keyword.arg or "**" for keyword in node.keywords}
    if source.qualify(node.func, source.module) in PARTIAL and node.args:
        return node.args[0], options
    return node.func, options
