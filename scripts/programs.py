"""Writes docs/programs.md: what public programs say of flax.nnx and of oakum.

Runs the tests, or the smallest scripts, of public repositories twice: as they are, and
with oakum in the place of `flax.nnx` (`scripts/stand_in`). The checkouts are given by
path and stay as they are; so is the Python that has their dependencies.

    python scripts/programs.py --checkouts DIR --python ENV/bin/python [NAME ...]

DIR holds one folder for each repository, under its own name. Without names, all run
whose folder is there; the rows of others stay on the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from program_table import NOT_RUN, PROGRAMS, REASONS, Program  # noqa: E402

PAGE = ROOT / "docs" / "programs.md"
STAND_IN = ROOT / "scripts" / "stand_in"
PASSED = "passed"
ESCAPED = r"\|"  # a bar that ends no cell

INTRO = """# Public programs with oakum in the place of flax.nnx

Programs that others wrote for `flax.nnx`, unedited: their tests, or their smallest
scripts, run with flax and then with oakum in its place (`scripts/stand_in`). A test
counts where it passes with flax on these versions; the last column says how many of
those pass with oakum. What needs an accelerator, a download or a package that is not
there passes with neither and does not count.

This page is written by `scripts/programs.py`, row by row.

| repository | commit | Python, jax, flax | what was run | with flax | with oakum |
|---|---|---|---|---|---|
"""
DIFFERENT = """
## What passes with flax alone

| repository | test | what oakum says |
|---|---|---|
"""
NO_ROW = """
## What could not be run
"""


@dataclass(frozen=True)
class Outcome:
    """What one test came to, and the last line of what went wrong."""

    result: str
    text: str = ""


Outcomes = dict[str, Outcome]


def run(
    program: Program, checkout: Path, python: str, logs: Path, *, stand_in: bool
) -> Outcomes:
    """Runs a program's tests and scripts, with flax or with oakum in its place."""
    side = "oakum" if stand_in else "flax"
    outcomes: Outcomes = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = checkout, Path(scratch), logs / "compiled"
        environment = environment_of(program, *folders, stand_in)
        if program.tests:
            report = Path(scratch) / "report.xml"
            command = [python, "-m", "pytest", *pytest_options(report), *program.tests]
            log = logs / f"{program.name}.{side}.log"
            call(command, checkout, environment, log, program.minutes)
            outcomes |= read_report(report)
        for script in program.scripts:
            log = logs / f"{program.name}.{Path(script.split()[0]).stem}.{side}.log"
            command = [python, *script.split()]
            code = call(command, checkout, environment, log, program.minutes)
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            result = PASSED if code == 0 else "failed"
            outcomes[script] = Outcome(result, "".join(last) if code else "")
    return outcomes


def pytest_options(report: Path) -> list[str]:
    """What keeps the checkout clean, goes on after errors and writes the report."""
    return [
        *("-q", "-p", "no:cacheprovider", "-o", "addopts=", "--tb=short"),
        "--continue-on-collection-errors",
        f"--junitxml={report}",
    ]


def environment_of(
    program: Program, checkout: Path, scratch: Path, cache: Path, stand_in: bool
) -> dict[str, str]:
    """The environment of one run: the module path, the CPU, and nothing fetched."""
    places = [STAND_IN] if stand_in else []
    places += [checkout / place for place in program.path]
    outside = filter(None, [os.environ.get("PYTHONPATH")])
    settings = {
        "PYTHONPATH": os.pathsep.join([*map(str, places), *outside]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_PLATFORMS": "cpu",
        # Both sides alike: what is compiled is small, and compiling takes the time.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "MPLBACKEND": "agg",
        "TMPDIR": str(scratch),
    }
    return {**os.environ, **settings, **program.environment}


def call(
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    log: Path,
    minutes: float,
) -> int:
    """Runs a command to its end or its time limit; its output goes into the log."""
    with log.open("w") as output:
        running = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
        try:
            return running.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            # Asked first, since pytest then writes the report of what has run.
            running.send_signal(signal.SIGINT)
            output.write(f"\nstopped after {minutes} minutes\n")
        try:
            return running.wait(60)
        except subprocess.TimeoutExpired:
            running.kill()
            return running.wait()


def read_report(report: Path) -> Outcomes:
    """The outcome of each test in a JUnit report; none where the run wrote none."""
    if not report.exists():
        return {}
    outcomes: Outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        outcomes[name] = outcome_of(case)
    return outcomes


def outcome_of(case: ElementTree.Element) -> Outcome:
    """What one `testcase` says; an error outweighs a failure of the same test."""
    for result in ("error", "failure", "skipped"):
        found = case.find(result)
        if found is not None:
            text = found.get("message") or (found.text or "").strip()
            return Outcome(result, text)
    return Outcome(PASSED)


def versions(python: str) -> str:
    """The versions of Python, jax and flax that an interpreter has."""
    code = (
        "import sys, importlib.metadata as m;"
        "print('.'.join(map(str, sys.version_info[:2])),"
        " m.version('jax'), m.version('flax'), sep=', ')"
    )
    answer = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def commit(checkout: Path) -> str:
    """The commit that a checkout stands at, or a dash where it is no repository."""
    answer = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"],
        capture_output=True,
        text=True,
    )
    return answer.stdout.strip() or "–"


def passed(outcomes: Outcomes) -> set[str]:
    """The names of what passed."""
    return {name for name, found in outcomes.items() if found.result == PASSED}


def outcomes_with_flax(
    program: Program, checkout: Path, python: str, logs: Path
) -> Outcomes:
    """Runs a program with flax, or reads what it came to when it was last run so."""
    same = [commit(checkout), versions(python), program.tests, program.scripts]
    kept = logs / f"{program.name}.flax.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    if known.get("of") == json.loads(json.dumps(same)):
        return {name: Outcome(*each) for name, each in known["outcomes"].items()}
    outcomes = run(program, checkout, python, logs, stand_in=False)
    pairs = {name: (each.result, each.text) for name, each in outcomes.items()}
    kept.write_text(json.dumps({"of": same, "outcomes": pairs}))
    return outcomes


def row(program: Program, checkout: Path, python: str, logs: Path) -> dict:
    """Runs a program on both sides; its row, and what passes with flax alone."""
    with_flax = outcomes_with_flax(program, checkout, python, logs)
    with_oakum = run(program, checkout, python, logs, stand_in=True)
    counted = passed(with_flax)
    lost = sorted(counted - passed(with_oakum))
    missing = Outcome("not run")
    return {
        "repository": program.repository,
        "commit": commit(checkout),
        "versions": versions(python),
        "what": program.what,
        "flax": len(counted),
        "oakum": len(counted) - len(lost),
        "lost": {name: with_oakum.get(name, missing).text for name in lost},
    }


def read_rows(page: Path) -> dict[str, dict]:
    """The rows that a page has, by repository; none where there is no page."""
    rows: dict[str, dict] = {}
    if not page.exists():
        return rows
    table, _, different = page.read_text().partition(DIFFERENT.splitlines()[1])
    for cells in cells_of(table):
        name, commit_, versions_, what, flax, oakum = cells
        rows[name] = {
            **{"repository": name, "commit": commit_, "versions": versions_},
            **{"what": what, "flax": int(flax), "oakum": int(oakum), "lost": {}},
        }
    for name, test, text in cells_of(different):
        rows[name]["lost"][test.strip("`").replace(ESCAPED, "|")] = text
    return rows


def cells_of(table: str) -> list[list[str]]:
    """The cells of a table's lines."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in rows if row[0] != "repository"]


def page_of(rows: dict[str, dict]) -> str:
    """The page for these rows."""
    ordered = sorted(rows.values(), key=lambda each: each["repository"].lower())
    keys = ("repository", "commit", "versions", "what", "flax", "oakum")
    lines = [
        "| " + " | ".join(str(each[key]) for key in keys) + " |" for each in ordered
    ]
    text = INTRO + "\n".join(lines) + "\n"
    lost = [
        f"| {each['repository']} | `{test.replace('|', ESCAPED)}` | {one_line(said)} |"
        for each in ordered
        for test, said in each["lost"].items()
    ]
    why = [
        f"- {each['repository']}: {REASONS[each['repository']]}"
        for each in ordered
        if each["lost"] and each["repository"] in REASONS
    ]
    if lost:
        text = "\n".join([text + DIFFERENT + "\n".join(lost), "", *why, ""])
    missing = [f"- {name}: {why}." for name, why in NOT_RUN.items() if name not in rows]
    return "\n".join([text + NO_ROW, *missing, ""]) if missing else text


def one_line(text: str) -> str:
    """A message that fits into a cell."""
    words = " ".join(text.split()).replace("|", "/").replace("`", "'")
    return words if len(words) <= 160 else words[:157] + "..."


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the programs that are there and writes their rows into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="folders of programs; all by default")
    parser.add_argument("--checkouts", type=Path, required=True)
    parser.add_argument("--python", required=True, help="with the dependencies")
    parser.add_argument(
        "--logs",
        type=Path,
        help="keep what the runs print here, and what flax gives for the next time",
    )
    options = parser.parse_args(arguments)
    logs = options.logs or Path(tempfile.mkdtemp())
    logs.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        checkout = options.checkouts / program.name
        if options.names and program.name not in options.names:
            continue
        if not checkout.is_dir():
            print(f"{program.name}: no folder {checkout}")
            continue
        found = row(program, checkout.resolve(), options.python, logs)
        rows = {**read_rows(PAGE), found["repository"]: found}
        PAGE.write_text(page_of(rows))
        print(f"{program.name}: flax {found['flax']}, oakum {found['oakum']}")
        for said, count in Counter(map(one_line, found["lost"].values())).items():
            print(f"  {count} × {said}")
    if options.logs is None:
        shutil.rmtree(logs)


if __name__ == "__main__":
    main()
