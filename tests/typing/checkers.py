"""Pyright and mypy over a folder of programs: what each reports, by file and line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

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


def reported(folder: Path = PROGRAMS) -> dict[str, Lines]:
    """The lines of each program in which a checker reports an error, by checker."""
    settings = json.loads(_without_comments(HERE / "pyrightconfig.json"))
    settings |= {"include": [str(folder)], "extraPaths": [str(ROOT)]}
    config = folder.parent / "pyright.json"
    config.write_text(json.dumps(settings), "utf-8")
    pyright = Path(sys.executable).with_name("pyright")
    python = ["--pythonpath", sys.executable]
    commands = {
        "pyright": [pyright, "-p", config, *python, "--outputjson"],
        "mypy": [
            *(sys.executable, "-m", "mypy", "--config-file", HERE / "mypy.ini"),
            *("--cache-dir", folder.parent / "mypy", folder),
        ],
    }
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    running = {
        name: subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
        )
        for name, command in commands.items()
    }
    texts = {name: process.communicate()[0] for name, process in running.items()}
    return {"pyright": _of_pyright(texts["pyright"]), "mypy": _of_mypy(texts["mypy"])}


def _without_comments(path: Path) -> str:
    return re.sub(r"^\s*//.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)


def _of_pyright(text: str) -> Lines:
    found: Lines = defaultdict(set)
    for entry in json.loads(text)["generalDiagnostics"]:
        if entry["severity"] == "error":
            line = entry["range"]["start"]["line"] + 1
            found[Path(entry["file"]).name].add(line)
    return found


def _of_mypy(text: str) -> Lines:
    if not text.rstrip().endswith(("source files)", "source files")):
        raise RuntimeError(f"mypy did not run: {text[-500:]}")
    found: Lines = defaultdict(set)
    for name, line in re.findall(r"(\w+\.py):(\d+): error", text):
        found[name].add(int(line))
    return found
