"""What a rule is: its page, and a function that finds its faults in a file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from ._scopes import Scope
from ._source import Source
from ._traces import Traces

RIGHT_STEP = """\
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


@nnx.jit
def step(model, optimizer, x):
    grads = nnx.grad(lambda model: model(x).mean())(model)
    optimizer.update(model, grads)


step(model, optimizer, x)"""
"""A step that does what it should, beside which rules show a wrong one."""


class Fault(NamedTuple):
    """A place in the text, and what is to be said of it."""

    node: ast.AST
    text: str
    # For a program that mends the fault: the function at fault, and its decorator or
    # the call of the transform.
    scope: Scope | None = None
    transform: ast.AST | None = None


class File:
    """A file under scrutiny: its tree, what its names mean, what is traced."""

    def __init__(self, tree: ast.Module):
        self.source = Source(tree)

    @cached_property
    def traces(self) -> Traces:
        return Traces(self.source)


class Rule(NamedTuple):
    """A hazard that stands in the text.

    `wrong` and `right` are programs that follow the preamble of `oakum explain`.
    """

    code: str
    name: str
    why: str
    wrong: str
    right: str
    find: Callable[[File], Iterable[Fault]]
