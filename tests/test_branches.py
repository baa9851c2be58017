"""No function has more branches than a reader can hold in mind at once.

A branch is each `if`, loop, handler of an exception, conditional expression, clause of
a comprehension, case of a `match`, and each further operand of `and` and `or`. What is
defined within a function counts with it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "oakum"
LIMIT = 12
ONE = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While),
    *(ast.ExceptHandler, ast.comprehension, ast.match_case),
)


def count_branches(function: ast.AST) -> int:
    """The branches of a function."""
    nodes = list(ast.walk(function))
    further = [len(n.values) - 1 for n in nodes if isinstance(n, ast.BoolOp)]
    return sum([isinstance(node, ONE) for node in nodes]) + sum(further)


def find_branchy(source: str, name: str) -> Iterator[str]:
    """A line for each function above the limit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = count_branches(node)
            if count > LIMIT:
                yield f"{name}:{node.lineno}: {node.name} has {count}, not {LIMIT}"


def test_no_function_is_above_the_limit():
    faults: list[str] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        name = f"oakum/{file.relative_to(PACKAGE)}"
        faults += find_branchy(file.read_text("utf-8"), name)
    assert not faults, "make two of each, by what they do:\n" + "\n".join(faults)


BRANCHES = {
    "if": ("if a: pass\nelif b: pass\nelse: pass", 2),
    "loops": ("for x in y: pass\nelse: pass\nwhile z: pass", 2),
    "async": ("async for x in y: pass", 1),
    "handlers": ("try: pass\nexcept A: pass\nexcept B: pass\nfinally: pass", 2),
    "expression": ("a if b else c", 1),
    "operands": ("a and b and c or not d", 3),
    "comprehension": ("[x for y in z for x in y if x]", 2),
    "match": ("match a:\n  case 1: pass\n  case _: pass", 2),
    "within": ("def g():\n  if a: pass\nlambda: b or c", 2),
    "none": ("with a: return b(c)[d]", 0),
}


@pytest.mark.parametrize(("body", "count"), BRANCHES.values(), ids=BRANCHES)
def test_branches_are_counted(body, count):
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    (function,) = ast.parse(f"async def f():\n{lines}").body
    assert count_branches(function) == count


def test_a_function_above_the_limit_is_named():
    body = "".join(f"  if a == {i}: pass\n" for i in range(LIMIT + 1))
    (line,) = find_branchy(f"\n\ndef long(a):\n{body}", "oakum/_a.py")
    assert line == "oakum/_a.py:3: long has 13, not 12"
    assert not list(
        find_branchy(f"def f(a):\n{body}".replace("  if a == 0: pass\n", ""), "a")
    )
