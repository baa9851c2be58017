"""Pyright and mypy over a folder of programs: what each reports, by file and line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = HERE / "programs"
MARK = "# mistake"
Lines = dict[str, set[int]]


def marked(folder: Path = PROGRAMS) -> Lines:
    """The lines of each program that carry the mark."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        lines = enumerate(path.read_text("utf-8").splitlines(), 1)
        found[path.name] = {number for number, line in lines if line.endswith(MARK)}
    return found


def pyright(folder: Path) -> Lines:
    """The lines of each program in which pyright reports an error, in strict mode."""
    settings = json.loads(_without_comments(HERE / "pyrightconfig.json"))
    settings |= {"include": [folder.name], "extraPaths": [str(ROOT)]}
    config = folder.parent / "pyright.json"
    config.write_text(json.dumps(settings), "utf-8")
    command = Path(sys.executable).with_name("pyright")
    python = ["--pythonpath", sys.executable]
    text = _output([command, "-p", config, *python, "--outputjson"], folder)
    found: Lines = defaultdict(set)
    for entry in json.loads(text)["generalDiagnostics"]:
        if entry["severity"] == "error":
            line = entry["range"]["start"]["line"] + 1
            found[Path(entry["file"]).name].add(line)
    return found


def mypy(folder: Path) -> Lines:
    """The same of `mypy --strict`."""
    options = ["--config-file", HERE / "mypy.ini", "--cache-dir", os.devnull]
    text = _output([sys.executable, "-m", "mypy", *options, folder], folder)
    if not text.rstrip().endswith("source files)"):
        raise RuntimeError(f"mypy did not run: {text[-500:]}")
    found: Lines = defaultdict(set)
    for name, line in re.findall(r"(\w+\.py):(\d+): error", text):
        found[name].add(int(line))
    return found


CHECKERS = {"pyright": pyright, "mypy": mypy}


def _output(command: list[Any], folder: Path) -> str:
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    return done.stdout


def _without_comments(path: Path) -> str:
    return re.sub(r"^\s*//.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
