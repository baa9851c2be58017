"""`run.json`: what a run notes of itself beside its checkpoint, and reads again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

_NAME = "run.json"


def write_notes(folder: Path, notes: dict[str, Any]) -> None:
    """Writes a file that is either the old one or all of the new one."""
    new = folder / "run.new"
    new.write_text(json.dumps(notes, indent=1), "utf-8")
    new.replace(folder / _NAME)


def read_notes(folder: Path) -> dict[str, Any]:
    """Reads what was written last."""
    return json.loads((folder / _NAME).read_text("utf-8"))


def find_older(folder: Path) -> dict[str, Any] | None:
    """The run that a folder holds: its folder, epoch, step, and when it was saved."""
    try:
        epoch, _, step = read_notes(folder)["place"]
        seconds = (folder / _NAME).stat().st_mtime
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # of another program
        return None
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    return {"folder": str(folder), "epoch": epoch, "step": step, "saved": when}


def describe_older(older: dict[str, Any]) -> str:
    """Says which run is replaced, and how it is not."""
    return (
        f"replaces the run in {older['folder']} (step {older['step']}, after epoch "
        f"{older['epoch']}, saved {older['saved']}); Run(..., resume=True) goes on "
        "with it"
    )
