"""Writes docs/typing.md: what type checkers find in programs, with oakum and with flax.

python scripts/typing_table.py

The programs of `tests/typing/programs` are read by pyright in strict mode and by
`mypy --strict`, as they stand and with flax.nnx in oakum's place. A mistake is a line
that is marked as one; what is reported in another line is invented.
"""

from __future__ import annotations

import ast
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PAGE = ROOT / "docs" / "typing.md"
IMPORTS = {"oakum": "import oakum as nnx", "flax.nnx": "from flax import nnx"}

INTRO = """\
# What type checkers find

{count} small programs, {mistakes} of whose lines are mistakes, read by pyright
{pyright} (strict) and by mypy {mypy} (`--strict`): with oakum, and with flax.nnx {flax}
in its place. *Found* are mistakes that are reported, *missed* those that are not, and
*invented* are reports in lines that are right. The tests hold oakum to finding all and
inventing none; `python scripts/typing_table.py` measures anew.

What no types can say is in none of them: mypy drops the signature of what
`functools.partial` of a transform decorates, and pyright in strict mode wants the types
of a lambda's parameters, which a transform cannot know.

"""


class Count(NamedTuple):
    """What a checker says of a program, in numbers of lines."""

    found: int
    missed: int
    invented: int

    def __str__(self) -> str:
        parts = [f"{self.found} found"]
        parts += [f"{self.missed} missed"] if self.missed else []
        parts += [f"{self.invented} invented"] if self.invented else []
        return ", ".join(parts)


Counts = dict[tuple[str, str], dict[str, Count]]


def measured() -> Counts:
    """Counts by program, for each library and checker."""
    from tests.typing.checkers import CHECKERS, PROGRAMS, marked

    mistakes, counts = marked(), {}
    for library, line in IMPORTS.items():
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "programs"
            folder.mkdir()
            for path in PROGRAMS.glob("*.py"):
                text = path.read_text("utf-8").replace(IMPORTS["oakum"], line)
                (folder / path.name).write_text(text, "utf-8")
            for checker, run in CHECKERS.items():
                lines = run(folder)
                counts[library, checker] = {
                    name: Count(
                        len(marks & lines[name]),
                        len(marks - lines[name]),
                        len(lines[name] - marks),
                    )
                    for name, marks in mistakes.items()
                }
    return counts


def lacking() -> dict[str, list[str]]:
    """The names of oakum in a program that flax.nnx lacks, by program."""
    from flax import nnx

    from tests.typing.checkers import PROGRAMS

    found = {}
    for path in sorted(PROGRAMS.glob("*.py")):
        names = set(re.findall(r"\bnnx\.(\w+)", path.read_text("utf-8")))
        missing = sorted(name for name in names if not hasattr(nnx, name))
        if missing:
            found[path.name] = missing
    return found


def page(counts: Counts, missing: dict[str, list[str]]) -> str:
    """The text of docs/typing.md."""
    from tests.typing.checkers import PROGRAMS

    programs = list(next(iter(counts.values())))
    compared = [name for name in programs if name not in missing]
    total = {key: _sum(rows, programs) for key, rows in counts.items()}
    parts = [
        INTRO.format(
            count=len(programs),
            mistakes=sum(next(iter(total.values()))[:2]),
            **{name: version(name) for name in ("pyright", "mypy", "flax")},
        ),
        _table(
            ["", *(f"{library}, {checker}" for library, checker in counts)],
            [
                [f"all {len(programs)} programs", *total.values()],
                [
                    f"the {len(compared)} whose names flax.nnx has",
                    *(_sum(rows, compared) for rows in counts.values()),
                ],
            ],
        ),
        _verdict(counts, compared),
        "\n## Program by program\n\n",
        _table(
            ["program", *(f"{library}, {checker}" for library, checker in counts)],
            [
                [_title(PROGRAMS / name), *(rows[name] for rows in counts.values())]
                for name in compared
            ],
        ),
    ]
    if missing:
        parts += [
            "\nThese use names that flax.nnx lacks; there is nothing to compare:\n\n",
            _table(
                ["program", "oakum, pyright", "oakum, mypy", "flax.nnx lacks"],
                [
                    [
                        _title(PROGRAMS / name),
                        counts["oakum", "pyright"][name],
                        counts["oakum", "mypy"][name],
                        ", ".join(f"`{part}`" for part in names),
                    ]
                    for name, names in missing.items()
                ],
            ),
        ]
    return "".join(parts)


def _verdict(counts: Counts, compared: list[str]) -> str:
    """The programs in which flax.nnx does better than oakum, if any."""
    behind = [
        f"`{name}` ({checker}: {theirs}; oakum {ours})"
        for checker in ("pyright", "mypy")
        for name in compared
        for ours in [counts["oakum", checker][name]]
        for theirs in [counts["flax.nnx", checker][name]]
        if theirs.missed < ours.missed or theirs.invented < ours.invented
    ]
    if not behind:
        return "\nThere is no program in which flax.nnx finds more, or invents less.\n"
    return f"\nflax.nnx finds more, or invents less, in {', '.join(behind)}.\n"


def _sum(rows: dict[str, Count], names: list[str]) -> Count:
    return Count(
        *(sum(column) for column in zip(*(rows[n] for n in names), strict=True))
    )


def _title(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or path.stem).strip()


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def main() -> None:
    PAGE.write_text(page(measured(), lacking()), "utf-8")


if __name__ == "__main__":
    main()
