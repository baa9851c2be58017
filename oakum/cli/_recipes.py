"""Recipes: where they are, and which files are some.

A recipe is a file that defines `Config` and `main` at its top level. The recipes stand
in `examples/`: in a checkout, beside the package; in an installation, where the
distribution says that it has put them.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Recipe(NamedTuple):
    """A recipe that was found but not imported."""

    path: Path
    summary: str


def find_recipes() -> dict[str, Recipe]:
    """Finds all recipes, by name."""
    recipes = {}
    for path in sorted(_iter_examples()):
        tree = ast.parse(path.read_text("utf-8"))
        defined = {getattr(node, "name", "") for node in tree.body}
        if {"Config", "main"} <= defined:
            summary = (ast.get_docstring(tree) or "").partition("\n")[0]
            recipes[path.stem] = Recipe(path, summary)
    return recipes


def import_recipe(path: Path) -> ModuleType:
    """Imports a recipe from its file."""
    name = f"oakum_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the source of Config is looked up there, for --help
    spec.loader.exec_module(module)
    return module


def _iter_examples() -> Iterator[Path]:
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return (checkout / "examples").glob("*.py")
    try:
        files = importlib.metadata.files("oakum") or []
    except importlib.metadata.PackageNotFoundError:  # on the path, not installed
        files = []
    return (
        Path(str(file.locate()))
        for file in files
        if file.parent.name == "examples" and file.suffix == ".py"
    )
