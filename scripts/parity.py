"""Writes docs/parity.md: what of flax.nnx is here, and where the two differ.

The number of idioms that README.md names is written too.

python scripts/parity.py --with NEWEST/bin/python

Measures the names of `tests/parity/names.py` and the idioms of `tests/parity/idioms`
with the flax and jax of this environment, and with those of every further interpreter
that is given. Exits 1 where a difference has no reason. To look at some idioms alone:

python scripts/parity.py --show jit/keyword
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PAGE, README = ROOT / "docs" / "parity.md", ROOT / "README.md"

Found = dict[str, Any]


def measured(part: str = "") -> Found:
    """What this environment's flax and oakum do: versions, names, idioms."""
    import conftest  # noqa: F401  sets up jax, before it is imported

    os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "standard"
    from flax import nnx as flax

    import oakum
    from tests.parity import names, relations, spellings, table
    from tests.parity.idioms import IDIOMS

    idioms = []
    for idiom in IDIOMS:
        if part not in idiom.key:
            continue
        outcomes = table.outcome(idiom, flax), table.outcome(idiom, oakum)
        result, detail = table.compared(*outcomes)
        idioms.append([idiom.key, idiom.fact, idiom.reason, result, detail])
        if part:
            print(
                f"{result:9} {idiom.key}\n  flax  {outcomes[0]}\n  oakum {outcomes[1]}"
            )
    rows = [] if part else [vars(row) for row in names.rows(flax, oakum)]
    related = [] if part else [vars(row) for row in relations.rows(flax, oakum)]
    compared = relations.count(flax, oakum)
    spelled = [
        [one, other, *(spellings.holds(check, nnx) for nnx in (flax, oakum))]
        for one, other, check in spellings.SPELLINGS
    ]
    versions = {name: version(name) for name in ("flax", "jax")}
    found = {"versions": versions, "idioms": idioms, "names": rows, "spelled": spelled}
    return {**found, "relations": related, "compared": compared}


def measured_by(python: str) -> Found:
    """The same by another interpreter."""
    command = [python, __file__, "--measure"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- the page


INTRO = """# What of flax.nnx runs here

Every public name of flax.nnx with its parameters, and {count} idioms: short programs,
each run with `flax.nnx` and with `oakum`, whose results are compared (values, shapes,
dtypes, paths, and the built-in class of what is raised).

Written by `scripts/parity.py`; the tables are `tests/parity/names.py` and
`tests/parity/idioms/`. The tests run a core of them.
"""


def page(runs: list[Found]) -> str:
    parts = [INTRO.format(count=len(runs[0]["idioms"])), counts(runs)]
    parts += [idioms_that_differ(runs), names_that_differ(runs)]
    parts += [relations_that_differ(runs), two_names(runs[0]), all_names(runs[0])]
    return "\n".join(parts)


def label(run: Found) -> str:
    return f"flax {run['versions']['flax']}, jax {run['versions']['jax']}"


def markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(map(escaped, row)) + " |" for row in rows) + "\n"


def escaped(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def counts(runs: list[Found]) -> str:
    """Idioms by area, and names, in numbers for each environment."""
    text = ""
    for run in runs:
        by_area: dict[str, collections.Counter] = {}
        for key, _, reason, result, _ in run["idioms"]:
            counter = by_area.setdefault(key.split("/")[0], collections.Counter())
            counter[standing(result, reason)] += 1
        total = sum(by_area.values(), collections.Counter())
        lines = [[a, *numbers(c)] for a, c in [*by_area.items(), ("**all**", total)]]
        text += f"## {label(run)}\n\n" + markdown(["area", *STANDINGS], lines) + "\n"
        text += names_counted(run) + "\n"
    return text


STANDINGS = ["equal", "up to rounding", "on purpose", "different", "not in this flax"]


def standing(result: str, reason: str) -> str:
    names = {"equal": "equal", "close": "up to rounding", "absent": "not in this flax"}
    return names.get(result) or ("on purpose" if reason else "different")


def numbers(counter: collections.Counter) -> list[str]:
    return [str(counter[name]) for name in STANDINGS]


def names_counted(run: Found) -> str:
    top = [row for row in run["names"] if "." not in row["name"]]
    members = [row for row in run["names"] if "." in row["name"]]

    def line(kind: str, rows: list[Found]) -> str:
        fit = sum(row["status"] in ("same", "more") for row in rows)
        purpose = sum(bool(row["reason"]) for row in rows if unlike(row))
        rest = len(rows) - fit - purpose
        return (
            f"{len(rows)} {kind}: {fit} with flax's parameters, {purpose} different or "
            f"left out on purpose, {rest} different.\n"
        )

    return line("public names", top) + line("methods and properties", members)


def unlike(row: Found) -> bool:
    return row["status"] in ("absent", "different")


def idioms_that_differ(runs: list[Found]) -> str:
    """A row for each idiom that differs somewhere, on purpose or not."""
    lines = []
    for rows in zip(*(run["idioms"] for run in runs), strict=True):
        if all(row[3] != "different" for row in rows):
            continue
        key, fact, reason, *_ = rows[0]
        detail = next(row[4] for row in rows if row[3] == "different")
        marks = [standing(row[3], reason) for row in rows]
        lines.append([f"`{key}`", fact, reason or f"**unexplained** {detail}", *marks])
    head = ["idiom", "what it shows", "why", *(label(run) for run in runs)]
    return "## Idioms that differ\n\n" + markdown(head, lines)


def names_that_differ(runs: list[Found]) -> str:
    lines = {}
    for run in runs:
        for row in filter(unlike, run["names"]):
            what = row["detail"] or "not here"
            why = row["reason"] or "**unexplained**"
            lines[row["name"]] = [f"`{row['name']}`", row["kind"], what, why]
    head = ["name", "kind", "what differs", "why"]
    return "## Names that differ\n\n" + markdown(head, list(lines.values()))


def relations_that_differ(runs: list[Found]) -> str:
    """The classes that are subclasses of a class in one library alone."""
    lines: dict[tuple, list[str]] = {}
    for row in (row for run in runs for row in run["relations"]):
        key = row["other"], row["oakum"], row["reason"] or "**unexplained**"
        names = lines.setdefault(key, [])
        if f"`{row['name']}`" not in names:
            names.append(f"`{row['name']}`")
    text = (
        "## Classes that are subclasses in one of the two\n\n"
        f"{runs[0]['compared']} pairs of classes are compared: each public class with "
        "each other, and with the classes of Python that programs ask for.\n\n"
    )
    table = [
        [", ".join(names), f"`{other}`", "here" if here else "in flax", why]
        for (other, here, why), names in lines.items()
    ]
    return text + markdown(["classes", "below", "where", "why"], table)


def two_names(run: Found) -> str:
    lines = [
        [f"`{one}`", f"`{other}`", "yes" if flax else "no", "yes" if oakum else "no"]
        for one, other, flax, oakum in run["spelled"]
    ]
    head = ["spelling", "stands for", "in flax", "here"]
    return "## Two names for one thing\n\n" + markdown(head, lines)


def all_names(run: Found) -> str:
    """Every public name, by what it is."""
    by_kind: dict[str, list[str]] = {}
    for row in run["names"]:
        if "." not in row["name"]:
            mark = "" if row["status"] in ("same", "more") else " (see above)"
            by_kind.setdefault(row["kind"], []).append(f"`{row['name']}`{mark}")
    lines = [[kind, len(found), ", ".join(found)] for kind, found in by_kind.items()]
    return "## All public names\n\n" + markdown(["kind", "names", ""], lines)


def unexplained(runs: list[Found]) -> list[str]:
    found = []
    for run in runs:
        rows = run["idioms"]
        found += [
            f"{label(run)}: {r[0]}" for r in rows if r[3] == "different" and not r[2]
        ]
        rows = run["names"]
        found += [
            f"{label(run)}: {r['name']} below {r['other']}"
            for r in run["relations"]
            if not r["reason"]
        ]
        found += [
            f"{label(run)}: {r['name']}"
            for r in filter(unlike, rows)
            if not r["reason"]
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--with", dest="pythons", action="append", default=[])
    parser.add_argument("--measure", action="store_true", help="print JSON")
    parser.add_argument("--show", metavar="PART", help="run idioms whose name has PART")
    args = parser.parse_args()
    if args.show:
        measured(args.show)
        return
    if args.measure:
        print(json.dumps(measured()))
        return
    # Each in a process of its own, so that all are set up alike; side by side.
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(measured_by, [sys.executable, *args.pythons]))
    PAGE.write_text(page(runs))
    said = re.sub(r"\d+ idioms", f"{len(runs[0]['idioms'])} idioms", README.read_text())
    README.write_text(said)
    missing = unexplained(runs)
    print(*missing, sep="\n")
    print(f"{PAGE.relative_to(ROOT)}: {len(missing)} differences without a reason")
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
