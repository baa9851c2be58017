"""Makes a failing program small: what is left out leaves a legal program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from tests.fuzz.graphs import Body, Program


def smaller(program: Program) -> Iterator[Program]:
    """Programs with one thing less."""
    for steps in _shorter(program.steps):
        yield dataclasses.replace(program, steps=steps)
    for graph in _shorter(program.graph):
        yield dataclasses.replace(program, graph=graph)
    for i, (count, body) in enumerate(program.functions):
        others = [(1, body)] if count > 1 else []
        for new in [*others, *((count, b) for b in _shorter(body))]:
            functions = (*program.functions[:i], new, *program.functions[i + 1 :])
            yield dataclasses.replace(program, functions=functions)


def _shorter(body: Body) -> Iterator[Body]:
    for i, operation in enumerate(body):
        yield (*body[:i], *body[i + 1 :])
        bodies = [j for j, arg in enumerate(operation) if isinstance(arg, tuple)]
        for j in bodies:
            if operation[0] not in ("eager", "fail"):
                yield (*body[:i], *operation[j], *body[i + 1 :])
            for inner in _shorter(operation[j]):
                new = (*operation[:j], inner, *operation[j + 1 :])
                yield (*body[:i], new, *body[i + 1 :])


def shrink(program: Program, fails: Callable[[Program], bool], tries: int) -> Program:
    """The smallest program found that still fails."""
    again = True
    while again:
        again = False
        for candidate in smaller(program):
            tries -= 1
            if tries < 0:
                return program
            if fails(candidate):
                program, again = candidate, True
                break
    return program
